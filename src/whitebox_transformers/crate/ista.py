"""ISTA: the sparsification step, one proximal gradient step on a dictionary.

Legend: B batch, N tokens, D width, M atoms. Tokens are rows.

For a token v and a dictionary D with atoms as columns, the published step is
``relu(v + eta * (D^T v - D^T D v) - eta * lambda)`` (arXiv 2306.01129, equations 15 to 17, and
again in arXiv 2311.13110; eta is ``step_size``, lambda is ``threshold``): one step on
``lambda |a|_1 + 1/2 |v - D a|^2, a >= 0`` started at ``a = v``.
"""

from collections.abc import Callable

import torch
from torch import nn
from transformers import initialization as init
from transformers.utils.generic import maybe_autocast

from .dictionary import DictionaryBlock, draw_dictionary
from .products import linear

Scalar = float | torch.Tensor


def soft_threshold(x: torch.Tensor, level: Scalar) -> torch.Tensor:
    """Proximal map of ``level * |x|_1``: shrink towards zero. Any shape."""
    return x.sign() * (x.abs() - level).relu()


def nonnegative_threshold(x: torch.Tensor, level: Scalar) -> torch.Tensor:
    """Proximal map of ``level * |x|_1`` over ``x >= 0``. Any shape."""
    return (x - level).relu()


PROXIMAL_MAPS: dict[str, Callable[[torch.Tensor, Scalar], torch.Tensor]] = {
    "relu": nonnegative_threshold,
    "soft_threshold": soft_threshold,
}


class _GramOperator(torch.autograd.Function):
    """``M = I + eta (D - D^T D)`` for row tokens, with the exact short gradient.

    With G the gradient of M: ``dD = eta (G - D (G + G^T))``, two products fewer than autograd
    keeps and runs for the same expression.
    """

    @staticmethod
    def forward(ctx, dictionary, step_size):
        ctx.save_for_backward(dictionary, step_size)
        direction = dictionary - linear(dictionary.T, dictionary.T)
        # Not in place on a diagonal view: ONNX export refuses graphs with one.
        identity = torch.eye(len(dictionary), dtype=dictionary.dtype, device=dictionary.device)
        return identity + direction * step_size

    @staticmethod
    def backward(ctx, grad):
        dictionary, step_size = ctx.saved_tensors
        grad_dictionary = grad_step = None
        if ctx.needs_input_grad[0]:
            both = grad + grad.T
            grad_dictionary = step_size * (grad - linear(dictionary, both))
        if ctx.needs_input_grad[1]:
            grad_step = (grad * (dictionary - linear(dictionary.T, dictionary.T))).sum()
        return grad_dictionary, grad_step


def gram_operator(dictionary: torch.Tensor, step_size: Scalar) -> torch.Tensor:
    """The linear part of the step as one matrix, so that a token costs one product.

    Args:
        dictionary: Square dictionary, (D, D).
        step_size: eta.

    Returns:
        ``I + eta (D - D^T D)``, (D, D), to be multiplied from the right; float32 or better,
        whatever autocast or the dictionary's own type say.
    """
    with maybe_autocast(dictionary.device.type, enabled=False):
        wide = torch.promote_types(dictionary.dtype, torch.float32)
        step_size = torch.as_tensor(step_size, dtype=wide, device=dictionary.device)
        return _GramOperator.apply(dictionary.to(wide), step_size)


def _gram_step(
    v: torch.Tensor, dictionary: torch.Tensor, step_size: Scalar, shift: Scalar
) -> torch.Tensor:
    """``v M - shift`` with one product per token; (..., N, D) to (..., N, D)."""
    operator = gram_operator(dictionary, step_size)
    bias = -torch.as_tensor(shift, dtype=operator.dtype, device=v.device).expand(v.shape[-1])
    autocast = not v.is_meta and torch.is_autocast_enabled(v.device.type)
    half = autocast or v.dtype.itemsize < 4
    if not half:
        return linear(v, operator.mT.to(v.dtype), bias.to(v.dtype))
    # Rounding I + eta (...) to half precision would lose most of the small second part.
    change = operator.mT - torch.eye(len(operator), dtype=operator.dtype, device=v.device)
    return v + linear(v, change.to(v.dtype), bias.to(v.dtype))


def ista(
    v: torch.Tensor,
    dictionary: torch.Tensor,
    step_size: Scalar,
    threshold: Scalar,
    form: str = "auto",
    activation: str = "relu",
) -> torch.Tensor:
    """One proximal step started at the token itself, on a square dictionary.

    The same step in two forms. ``tokens``: two products per token, ``(v - v D^T) D``. ``gram``:
    one D x D product per call, then one per token, forward and backward. ``auto`` takes ``gram``
    once there are at least D tokens, where it is the cheaper one, and in exported graphs, where
    the matrix is a constant.

    Args:
        v: Tokens, (..., N, D).
        dictionary: Atoms as columns, (D, D).
        step_size: eta.
        threshold: lambda; ``eta * lambda`` is subtracted.
        form: ``auto``, ``tokens`` or ``gram``.
        activation: ``relu`` or ``soft_threshold``.

    Returns:
        Codes, (..., N, D).

    Raises:
        ValueError: The dictionary is not square of the tokens' width.
    """
    width = v.shape[-1]
    if dictionary.shape != (width, width):
        raise ValueError(
            f"dictionary has shape {tuple(dictionary.shape)}, but tokens of width {width} need "
            f"({width}, {width}); for more atoms than width use proximal_steps_from_zero."
        )
    if form == "auto":
        cheaper = torch.compiler.is_exporting() or v.numel() >= width * width
        form = "gram" if cheaper else "tokens"
    level = step_size * threshold
    # Under relu the threshold is a shift of its argument, and costs nothing inside the product.
    shift = level if activation == "relu" else 0.0
    if form == "gram":
        moved = _gram_step(v, dictionary, step_size, shift)
    else:
        # Under autocast the product is in half precision; what follows stays in the tokens' type.
        direction = linear(v - linear(v, dictionary), dictionary.T).to(v.dtype)
        moved = v + (step_size * direction - shift)
    return moved.relu() if activation == "relu" else soft_threshold(moved, level)


def proximal_steps_from_zero(
    v: torch.Tensor,
    dictionary: torch.Tensor,
    step_size: Scalar,
    threshold: Scalar,
    iterations: int,
    activation: str = "relu",
) -> torch.Tensor:
    """Codes of an overcomplete dictionary after T proximal steps from zero (arXiv 2405.20299).

    Args:
        v: Tokens, (..., N, D).
        dictionary: Atoms as columns, (D, M).
        step_size: eta.
        threshold: lambda; every step subtracts ``eta * lambda``.
        iterations: T, at least 1.
        activation: ``relu`` or ``soft_threshold``.

    Returns:
        Codes, (..., N, M).
    """
    proximal, level = PROXIMAL_MAPS[activation], step_size * threshold
    codes = proximal(step_size * linear(v, dictionary.T), level)
    for _ in range(iterations - 1):
        residual = v - linear(codes, dictionary)
        codes = proximal(codes + step_size * linear(residual, dictionary.T), level)
    return codes


class ProximalBlock(DictionaryBlock):
    """What the proximal steps share: the dictionary, eta and lambda, fixed or learned."""

    def __init__(self, config, atoms: int):
        super().__init__(config, atoms)
        self.activation = config.activation
        self.initial_step_size, self.initial_threshold = config.step_size, config.threshold
        self.step_size: Scalar = float(config.step_size)
        if config.learn_step_size:
            self.step_size = nn.Parameter(torch.tensor(float(config.step_size)))
        self.threshold: Scalar = float(config.threshold)
        if config.learn_threshold:
            self.threshold = nn.Parameter(torch.tensor(float(config.threshold)))

    def reset_parameters(self) -> None:
        """Fresh dictionary from the configured distribution, and configured scalars."""
        super().reset_parameters()
        if isinstance(self.step_size, nn.Parameter):
            init.constant_(self.step_size, self.initial_step_size)
        if isinstance(self.threshold, nn.Parameter):
            init.constant_(self.threshold, self.initial_threshold)


class ISTA(ProximalBlock):
    """The published block: one step on a complete dictionary, no skip around it.

    Shape: (B, N, D) to (B, N, D).
    """

    def __init__(self, config):
        super().__init__(config, atoms=config.hidden_size)
        self.form = config.ista_form

    def forward(self, v: torch.Tensor) -> torch.Tensor:
        return self.codes(
            ista(v, self.dictionary, self.step_size, self.threshold, self.form, self.activation)
        )


class OvercompleteISTA(ProximalBlock):
    """T steps from zero on M = ratio * D atoms, then back to width D.

    The way back is the same dictionary (CRATE-LM, arXiv 2410.16443) or a second one
    (CRATE-alpha). Shape: (B, N, D) to (B, N, D).
    """

    def __init__(self, config):
        atoms = config.dictionary_ratio * config.hidden_size
        super().__init__(config, atoms)
        self.iterations = config.ista_iterations
        self.synthesis = None
        if config.synthesis == "separate":
            self.starts_at_zero = config.synthesis_init == "zeros"
            self.synthesis = nn.Parameter(torch.empty_like(self.dictionary))
            self._draw_synthesis(self.synthesis)

    def reset_parameters(self) -> None:
        """Fresh dictionaries and configured scalars."""
        super().reset_parameters()
        synthesis = getattr(self, "synthesis", None)
        if synthesis is not None:
            self._draw_synthesis(synthesis)

    def _draw_synthesis(self, synthesis: nn.Parameter) -> None:
        if self.starts_at_zero:
            init.zeros_(synthesis)
        else:
            draw_dictionary(synthesis, self.distribution)

    def forward(self, v: torch.Tensor) -> torch.Tensor:
        codes = proximal_steps_from_zero(
            v, self.dictionary, self.step_size, self.threshold, self.iterations, self.activation
        )
        back = self.dictionary if self.synthesis is None else self.synthesis
        return linear(self.codes(codes), back)


class Majorizer(ProximalBlock):
    """The step from a majorizer of ``lambda |Z|_1 - R(Z)`` (arXiv 2306.01129, equation 92).

    ``relu((1 + 4 / (9 (1 + alpha))) D^T v - 4 lambda / (9 alpha))``, alpha = D / (N eps^2).
    Shape: (B, N, D) to (B, N, D). Where rows are padded, ``token_count`` (B, 1, 1) is their N.
    """

    def __init__(self, config):
        super().__init__(config, atoms=config.hidden_size)
        self.coding_precision = config.coding_precision

    def forward(self, v: torch.Tensor, token_count: torch.Tensor | None = None) -> torch.Tensor:
        tokens = v.shape[-2] if token_count is None else token_count
        alpha = v.shape[-1] / (tokens * self.coding_precision**2)
        moved = (1 + 4 / (9 * (1 + alpha))) * linear(v, self.dictionary.T)
        level = 4 * self.threshold / (9 * alpha)
        return self.codes(PROXIMAL_MAPS[self.activation](moved, level).to(v.dtype))


__all__ = [
    "ISTA",
    "Majorizer",
    "OvercompleteISTA",
    "ProximalBlock",
    "gram_operator",
    "ista",
    "nonnegative_threshold",
    "proximal_steps_from_zero",
    "soft_threshold",
]
