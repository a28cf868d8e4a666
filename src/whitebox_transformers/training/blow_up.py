"""Which layer it was, when a loss or a gradient is no longer a number."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from whitebox_transformers.analysis.layers import evaluating
from whitebox_transformers.errors import UserError
from whitebox_transformers.training.sharding import whole_value

MEND = "lower train.learning_rate ({rate}), lengthen train.warmup or set train.clip"


def clip_gradients(model: nn.Module, limit: float, step: int, rate: float) -> Tensor:
    """Scale the gradient of a whole step to a norm of at most ``limit``; 0: leave it.

    Args:
        model: With its gradients; cut or whole.
        limit: In the norm of all parameters together.
        step: Number of the step, from 1.
        rate: The recipe's learning rate.

    Returns:
        The norm before.

    Raises:
        UserError: It is not finite; names the parameter closest to the loss. Nothing is scaled, or
            what is not finite would spread.
    """
    learning = [parameter for parameter in model.parameters() if parameter.grad is not None]
    gradients = [p.grad for p in learning if p.grad is not None]
    norm = whole_value(get_total_norm(gradients))
    if not norm.isfinite():
        raise _bad_gradient(model, step, rate)
    if limit:
        clip_grads_with_norm_(learning, limit, norm)
    return norm


def _bad_gradient(model: nn.Module, step: int, rate: float) -> UserError:
    norms = {
        name: whole_value(parameter.grad.norm()).item()
        for name, parameter in model.named_parameters()
        if parameter.grad is not None
    }
    broken = [name for name, norm in norms.items() if _bad(norm)]
    said = (
        f"of the {len(broken)} parameters concerned {broken[-1]} is the closest to the loss"
        if broken
        else f"its norm overflows, the largest part is that of {max(norms, key=norms.__getitem__)}"
    )
    return UserError(
        f"the gradient is not finite at step {step}: {said}; {MEND.format(rate=rate)}; "
        "checkpoints before this step are intact"
    )


def bad_loss(loss: float, step: int, rate: float, model: nn.Module, inputs: Any) -> UserError:
    """What to say of a loss that is not finite: where it began, with norms.

    Args:
        loss: Its value.
        step: Number of the step, from 1.
        rate: The recipe's learning rate.
        model: With the weights that the step began with, not wrapped.
        inputs: The batch, as the model's arguments.
    """
    return UserError(
        f"loss is {loss} at step {step}: {_first_broken(model, inputs)}; "
        f"{MEND.format(rate=rate)}; checkpoints before this step are intact"
    )


def _first_broken(model: nn.Module, inputs: Any) -> str:
    """The layer of a forward pass, without dropout, that makes a finite input something else."""
    seen: list[tuple[str, nn.Module, float, float]] = []
    handles = [
        module.register_forward_hook(partial(_note, seen, name))
        for name, module in model.named_modules()
        if name
    ]
    try:
        with torch.no_grad(), evaluating(model):
            model(**inputs)
    finally:
        for handle in handles:
            handle.remove()
    for name, module, given, returned in seen:
        # The innermost that makes it, not one that passes it on.
        if _bad(returned) and not _bad(given):
            weights = _norm([*module.parameters()])
            return (
                f"the first layer whose output is not finite is {name} ({type(module).__name__}), "
                f"norm of its input {given:.3g}, of its weights {weights:.3g}"
            )
    finite = [entry for entry in seen if not _bad(entry[3])]
    if len(finite) < len(seen) or not seen:
        return "the model's inputs are not finite"
    name, _, given, returned = max(finite, key=lambda entry: entry[3])
    return (
        f"without dropout every layer's output is finite, the largest is that of {name}: "
        f"norm {returned:.3g}, of its input {given:.3g}"
    )


def _note(
    seen: list[tuple[str, nn.Module, float, float]],
    name: str,
    module: nn.Module,
    given: Any,
    returned: Any,
) -> None:
    seen.append((name, module, _norm(given), _norm(returned)))


def _norm(value: Any) -> float:
    """Of all floating-point numbers in nested tensors together."""
    # In float64 on the CPU: a norm overflows before its numbers do.
    norms = [part.detach().cpu().double().norm() for part in _tensors(value)]
    return float(torch.stack(norms).norm()) if norms else 0.0


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        if value.is_floating_point():
            yield value
    elif isinstance(value, dict):
        yield from _tensors([*value.values()])
    elif isinstance(value, tuple | list):
        for part in value:
            yield from _tensors(part)


def _bad(number: float) -> bool:
    return not abs(number) < float("inf")
