"""Change one part of a model while it runs: a head, a coefficient, or a layer's whole step.

    with intervene(
        model,
        Head(layer=3, index=2).zero(),
        Coefficient(layer=5, index=17).set(1.0),
        Step(layer=2, part="compress").scale(0.5),
    ):
        logits = model(images).logits

Weights are never touched; leaving the block, also by an exception, restores the model. Gradients
flow through what is left. Edits of one part apply in the order given.

Legend: B batch, N tokens, D width, K heads, P head width, M atoms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from whitebox_transformers.crate.ablations import MLP, QKVAttention
from whitebox_transformers.errors import UserError

from .layers import checked_index, compress_of, layer_at, sparsify_of

Edit = Callable[[Tensor], Tensor]
Hook = Callable[[nn.Module, tuple, Tensor], Tensor]


@dataclass(frozen=True)
class Intervention:
    """One edit of one target, for `intervene`; made by the methods of a target."""

    target: Target
    edit: Edit


@dataclass(frozen=True)
class Target:
    """A part of a layer. ``layer`` counts from 0, or negative from the end."""

    layer: int

    def zero(self) -> Intervention:
        """Put zeros in its place."""
        return self.scale(0.0)

    def scale(self, factor: float) -> Intervention:
        """Multiply it by ``factor``; zero also removes values that are not finite."""
        if factor == 0:
            return self.apply(torch.zeros_like)
        return self.apply(lambda value: factor * value)

    def set(self, value: float | Tensor) -> Intervention:
        """Put ``value`` in its place, a number or a tensor that broadcasts to its shape."""

        def replace(current: Tensor) -> Tensor:
            given = torch.as_tensor(value, dtype=current.dtype, device=current.device)
            try:
                return given.expand_as(current)
            except RuntimeError as error:
                raise UserError(
                    f"{self} has shape {tuple(current.shape)}; the value to set has "
                    f"{tuple(given.shape)}, which does not broadcast to it"
                ) from error

        return self.apply(replace)

    def apply(self, edit: Edit) -> Intervention:
        """Put ``edit(current)``, of the same shape, in its place."""
        return Intervention(self, edit)

    def tap(self, model: nn.Module, edit: Edit) -> tuple[nn.Module, Hook]:
        """The module whose output to change, and the forward hook that does it.

        Raises:
            UserError: The model has no such part.
        """
        raise NotImplementedError

    def edited(self, current: Tensor, edit: Edit) -> Tensor:
        """``edit(current)``.

        Raises:
            UserError: The edit changed the shape.
        """
        new = edit(current)
        if new.shape != current.shape:
            raise UserError(
                f"the edit of {self} returned shape {tuple(new.shape)}; "
                f"expected {tuple(current.shape)}"
            )
        return new


@dataclass(frozen=True)
class Head(Target):
    """What head ``index`` of MSSA averaged, (B, N, P), before the output matrix."""

    index: int

    def tap(self, model: nn.Module, edit: Edit) -> tuple[nn.Module, Hook]:
        """The tap on all heads, (B, N, K, P)."""
        attention = compress_of(layer_at(model, self.layer)).mssa
        ordinary = isinstance(attention, QKVAttention)
        count = attention.num_heads if ordinary else attention.subspaces.heads
        index = checked_index(f"head (layer {self.layer})", self.index, count)

        def change(_: nn.Module, __: tuple, averages: Tensor) -> Tensor:
            return _with(averages, -2, index, self.edited(averages[..., index, :], edit))

        return attention.heads, change


@dataclass(frozen=True)
class Coefficient(Target):
    """Coefficient ``index`` of every token in the layer's dictionary, (B, N)."""

    index: int

    def tap(self, model: nn.Module, edit: Edit) -> tuple[nn.Module, Hook]:
        """The tap on all coefficients, (B, N, M)."""
        ista = sparsify_of(layer_at(model, self.layer)).ista
        count = ista.down.in_features if isinstance(ista, MLP) else ista.dictionary.shape[1]
        index = checked_index(f"coefficient (layer {self.layer})", self.index, count)

        def change(_: nn.Module, __: tuple, codes: Tensor) -> Tensor:
            return _with(codes, -1, index, self.edited(codes[..., index], edit))

        return ista.codes, change


@dataclass(frozen=True)
class Step(Target):
    """What a layer's ``part`` moves its tokens by, (B, N, D).

    ``compress``: what MSSA adds to the (possibly shrunk or normalised) token. ``sparsify``: the
    output of ISTA minus its input v = LN2(Z^{l+1/2}), so that a step of zero leaves v; where the
    block has a skip of its own (CRATE-alpha, MLP), what it adds to Z^{l+1/2}.
    """

    part: Literal["compress", "sparsify"]

    def tap(self, model: nn.Module, edit: Edit) -> tuple[nn.Module, Hook]:
        """The tap on the layer's compression or sparsification step."""
        if self.part not in ("compress", "sparsify"):
            raise UserError(f"part is {self.part!r}; expected 'compress' or 'sparsify'")
        if self.part == "compress":
            return compress_of(layer_at(model, self.layer)).step, self._changing_output(edit)
        sparsify = sparsify_of(layer_at(model, self.layer))
        change = self._changing_output(edit) if sparsify.residual else self._changing_move(edit)
        return sparsify.ista, change

    def _changing_output(self, edit: Edit) -> Hook:
        return lambda _, __, step: self.edited(step, edit)

    def _changing_move(self, edit: Edit) -> Hook:
        return lambda _, inputs, sparse: inputs[0] + self.edited(sparse - inputs[0], edit)


@contextmanager
def intervene(model: nn.Module, *interventions: Intervention) -> Iterator[None]:
    """Run the model changed inside the block.

    A compiled model runs uncompiled inside the block. With gradient checkpointing, which runs
    layers again in the backward pass, call ``backward`` inside the block too.

    Args:
        model: Any model of the CRATE family, not folded.
        interventions: ``Head``, ``Coefficient`` or ``Step``, with ``.zero()``, ``.scale(x)``,
            ``.set(x)`` or ``.apply(function)``.

    Raises:
        UserError: On entry, if a layer, head or coefficient does not exist or the model is
            folded; in the forward pass, if a new value does not fit.
    """
    taps = [change.target.tap(model, change.edit) for change in interventions]
    with ExitStack() as hooks:
        # Compiled code does not look at hooks that came later.
        hooks.enter_context(torch.compiler.set_stance("force_eager"))
        for module, hook in taps:
            hooks.callback(module.register_forward_hook(hook).remove)
        yield


def _with(values: Tensor, axis: int, index: int, new: Tensor) -> Tensor:
    """A copy of ``values`` with ``new`` at ``index`` of ``axis``."""
    position = torch.tensor([index], device=values.device)
    return values.index_copy(axis, position, new.to(values.dtype).unsqueeze(axis))
