"""How often and how strongly each coefficient of a layer is active, in one pass.

A histogram with bins that grow with the value, eight for each doubling, holds the distribution of
all active values, so that quantiles of any number of tokens take the same memory.

Legend: B samples, N tokens, M coefficients, Q bins.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

PER_DOUBLING = 8
LOWEST, HIGHEST = -16, 12
"""Powers of two between which values are told apart; what lies outside falls into the end bins."""
BINS = (HIGHEST - LOWEST) * PER_DOUBLING


@dataclass(frozen=True)
class NeuronStatistics:
    """What every coefficient of one layer did.

    Attributes:
        tokens: How many tokens were seen.
        active: (M,) int64, tokens at which the coefficient is not zero.
        mean: (M,) float64, mean size where active; 0 where never.
        energy: (M,) float64, mean square over all tokens.
        largest: (M,) float32, largest size.
        histogram: (M, Q) int64, active tokens by size.
    """

    tokens: int
    active: Tensor
    mean: Tensor
    energy: Tensor
    largest: Tensor
    histogram: Tensor

    @property
    def share_active(self) -> Tensor:
        """(M,) float64, share of tokens at which the coefficient is not zero."""
        return self.active.double() / self.tokens

    def quantiles(self, levels: list[float]) -> Tensor:
        """Sizes below which these shares of a coefficient's active values lie, (M, levels).

        At most one bin, 9 %, from the exact ones; 0 where the coefficient is never active.
        """
        counts = self.histogram.double()
        cumulated = counts.cumsum(1)
        columns = []
        for level in levels:
            target = (level * self.active.double())[:, None]
            index = torch.searchsorted(cumulated, target).clamp(max=BINS - 1)  # (M, 1)
            inside = counts.gather(1, index)
            before = cumulated.gather(1, index) - inside
            place = (index + (target - before) / inside.clamp(min=1)) / PER_DOUBLING + LOWEST
            columns.append(torch.exp2(place)[:, 0].minimum(self.largest.double()))
        found = torch.stack(columns, 1)
        return torch.where(self.active[:, None] > 0, found, 0.0)


class RunningStatistics:
    """Takes in batches of one layer's coefficients."""

    def __init__(self) -> None:
        self.tokens = 0
        self._sums: dict[str, Tensor] = {}
        self._histogram: Tensor | None = None
        self._largest: Tensor | None = None

    def add(self, codes: Tensor, real: Tensor) -> None:
        """Take in the coefficients (B, N, M) of the tokens that are real (B, N)."""
        sizes = codes[real].float().abs()  # (tokens, M)
        atoms = sizes.shape[1]
        self.tokens += len(sizes)
        self._sum("active", (sizes > 0).sum(0))
        self._sum("size", sizes.sum(0, dtype=torch.float64))
        self._sum("energy", sizes.square().sum(0, dtype=torch.float64))
        row, neuron = sizes.nonzero(as_tuple=True)
        bins = size_bins(sizes[row, neuron])
        counts = torch.bincount(neuron * BINS + bins, minlength=atoms * BINS).view(atoms, BINS)
        largest = sizes.amax(0) if len(sizes) else sizes.new_zeros(atoms)
        if self._histogram is None or self._largest is None:
            self._histogram, self._largest = counts, largest
        else:
            self._histogram += counts
            self._largest = torch.maximum(self._largest, largest)

    def result(self) -> NeuronStatistics:
        """What was taken in so far."""
        assert self._histogram is not None
        assert self._largest is not None
        active, size = self._sums["active"].cpu(), self._sums["size"].cpu()
        return NeuronStatistics(
            tokens=self.tokens,
            active=active,
            mean=size / active.clamp(min=1),
            energy=self._sums["energy"].cpu() / max(self.tokens, 1),
            largest=self._largest.cpu(),
            histogram=self._histogram.cpu(),
        )

    def _sum(self, key: str, values: Tensor) -> None:
        self._sums[key] = self._sums[key] + values if key in self._sums else values


def size_bins(sizes: Tensor) -> Tensor:
    """The bin of each size above zero, int64."""
    return ((sizes.log2() - LOWEST) * PER_DOUBLING).floor().long().clamp(0, BINS - 1)


def bin_edges() -> Tensor:
    """Lower edge of every bin, and the upper edge of the last, (Q + 1,)."""
    return torch.exp2(torch.arange(BINS + 1, dtype=torch.float64) / PER_DOUBLING + LOWEST)
