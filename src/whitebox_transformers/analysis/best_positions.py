"""The places where something is largest, for each coefficient, in one pass and bounded memory.

Legend: B samples, N tokens, M coefficients, T places kept for each.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Position:
    """A token of a sample, and the value that brought it here."""

    sample: int
    token: int
    value: float


class BestPositions:
    """The best places of every coefficient in a stream.

    Of neighbouring tokens only the best is taken: a sample is divided into spans, each of which
    offers one place.

    Args:
        keep: T.
        span: Tokens of a span; 1 takes every token.
    """

    def __init__(self, keep: int, span: int = 1) -> None:
        self.keep, self.span = keep, span
        self._values: Tensor | None = None
        self._samples = self._tokens = torch.empty(0)

    def add(self, values: Tensor, first: int) -> None:
        """Take in values (B, N, M), of samples ``first`` and following; -inf is never taken."""
        values, tokens = self._best_of_spans(values.float())  # (B, S, M) each
        samples = first + torch.arange(len(values), device=values.device)
        samples = samples[:, None, None].expand_as(values)
        offered = [x.flatten(0, 1).T for x in (values, samples, tokens)]  # (M, B S)
        if self._values is not None:
            held = (self._values, self._samples, self._tokens)
            offered = [torch.cat(pair, 1) for pair in zip(held, offered, strict=True)]
        best = offered[0].topk(min(self.keep, offered[0].shape[1]), sorted=True).indices
        self._values, self._samples, self._tokens = (x.gather(1, best) for x in offered)

    def of(self, neuron: int) -> list[Position]:
        """Places of one coefficient, best first."""
        if self._values is None:
            return []
        rows = (self._values[neuron], self._samples[neuron], self._tokens[neuron])
        return [
            Position(sample, token, value)
            for value, sample, token in zip(*(row.tolist() for row in rows), strict=True)
            if math.isfinite(value)
        ]

    def _best_of_spans(self, values: Tensor) -> tuple[Tensor, Tensor]:
        tokens = values.shape[1]
        if self.span == 1:
            places = torch.arange(tokens, device=values.device)[None, :, None]
            return values, places.expand_as(values)
        short = -tokens % self.span
        padded = F.pad(values, (0, 0, 0, short), value=-torch.inf)
        best, place = padded.unflatten(1, (-1, self.span)).max(2)
        start = torch.arange(best.shape[1], device=values.device)[None, :, None] * self.span
        return best, start + place
