"""What stands between tokens and samples, whether they lie in memory or pass by."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch

from whitebox_transformers.data.protocol import Sample


class Stretch(NamedTuple):
    """Consecutive tokens that become one sample."""

    tokens: torch.Tensor
    """(n,) int64."""
    fresh: torch.Tensor
    """(n,) bool: those that no other sample of the epoch counts."""
    borders: torch.Tensor
    """(n,) bool: those that begin a document."""
    words: torch.Tensor | None
    """(n,) bool: those that begin a word, if anybody asked."""


class Samples(Protocol):
    """How a stretch becomes a sample."""

    size: int
    """Tokens of the text in a sample."""
    lead: int
    """How many of them only serve the prediction of others: samples overlap by so many."""

    def __call__(self, stretch: Stretch, seed: int) -> Sample:
        """A sample; ``seed`` decides what is random in it."""
        ...
