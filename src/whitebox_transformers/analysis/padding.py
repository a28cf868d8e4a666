"""Padding is no part of a text: which tokens of a batch are real, and measures of these alone.

Legend: B samples, N tokens, n real ones of a sample, D width.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from whitebox_transformers.errors import UserError


def real_tokens(inputs: Mapping[str, Tensor]) -> Tensor | None:
    """Which tokens are no padding, (B, N), by the attention mask; ``None`` where all are real.

    A batch of choices (B, choices, N) is one of B times choices samples, as the model runs it. A
    mask of pairs of tokens says nothing about padding.

    Raises:
        UserError: A sample is nothing but padding.
    """
    mask = inputs.get("attention_mask")
    if mask is None or mask.dim() not in (2, 3):
        return None
    real = mask.bool().flatten(0, -2)
    if real.all():
        return None
    for sample in (~real.any(-1)).nonzero()[:1].flatten().tolist():
        raise UserError(
            f"sample {sample} of a batch is nothing but padding (attention_mask is 0 everywhere); "
            f"leave it out"
        )
    return real


def samples_in(inputs: Mapping[str, Tensor]) -> int:
    """B: how many samples a batch has, every choice of a batch of choices being one."""
    ids = inputs.get("input_ids")
    return len(next(iter(inputs.values()))) if ids is None else len(ids.flatten(0, -2))


def measured_without_padding(
    compute: Callable[[Tensor], Sequence[Tensor]], tokens: Tensor, real: Tensor | None
) -> list[Tensor]:
    """What ``compute`` finds in the real tokens of every sample.

    Args:
        compute: From samples without padding (B', ..., n, D) to values (B',) each.
        tokens: (B, ..., N, D).
        real: (B, N), or ``None`` for all.

    Returns:
        Values (B,), the same as for each sample alone.

    Raises:
        UserError: The model's tokens are not those of the batch.
    """
    if real is None:
        return list(compute(tokens))
    if (tokens.shape[0], tokens.shape[-2]) != tuple(real.shape):
        raise UserError(
            f"the batch has {tuple(real.shape)} samples and tokens, but the model works with "
            f"{(tokens.shape[0], tokens.shape[-2])}; measure it without padding"
        )
    lengths = real.sum(-1)
    groups = [(lengths == length).nonzero()[:, 0] for length in lengths.unique()]
    parts = []
    for rows in groups:  # samples of one length at a time
        places = real[rows].nonzero()[:, 1].view(len(rows), -1)
        index = places.view(len(rows), *(1,) * (tokens.dim() - 3), -1, 1)
        parts.append(compute(tokens[rows].take_along_dim(index, -2)))
    back = torch.cat(groups).argsort()
    return [torch.cat(values)[back] for values in zip(*parts, strict=True)]


def named_without_padding(
    compute: Callable[[Tensor], Mapping[str, Tensor]], tokens: Tensor, real: Tensor | None
) -> dict[str, Tensor]:
    """`measured_without_padding` of values that have names."""
    names: list[str] = []

    def values(tokens: Tensor) -> list[Tensor]:
        found = compute(tokens)
        names[:] = found
        return list(found.values())

    measured = measured_without_padding(values, tokens, real)
    return dict(zip(names, measured, strict=True))
