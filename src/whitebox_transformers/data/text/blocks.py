"""How a corpus is cut into blocks of equal length: which tokens each holds, and which are new."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from whitebox_transformers.data.seeding import seed_of


class Block(NamedTuple):
    """Some consecutive tokens of a corpus, whose beginning follows its end."""

    start: int
    """Number of its first token."""
    fresh: slice
    """Places in the block of the tokens that no other block of the epoch counts."""


@dataclass(frozen=True)
class FixedBlocks:
    """Blocks for evaluation, from the first token to the last.

    Blocks overlap by ``lead`` tokens; the last one ends with the corpus and overlaps more. Every
    token is fresh once, except the first ``lead`` of the corpus, which nothing precedes.

    Args:
        tokens: In the corpus; at least ``size``.
        size: Tokens in a block.
        lead: Tokens at the beginning of a block that only serve the prediction of others.
    """

    tokens: int
    size: int
    lead: int

    @property
    def stride(self) -> int:
        """New tokens in a block."""
        return self.size - self.lead

    def __len__(self) -> int:
        return -(-(self.tokens - self.lead) // self.stride)

    def at(self, epoch: int, index: int) -> Block:
        """A block; the same in every epoch."""
        before = self.lead + index * self.stride
        end = min(before + self.stride, self.tokens)
        return Block(end - self.size, slice(self.size - (end - before), self.size))


@dataclass(frozen=True)
class MovingBlocks:
    """Blocks for training, whose borders move from epoch to epoch.

    In each epoch the blocks go once around the corpus from another token on. Every token is fresh
    once; the last block overlaps the first, and what it repeats is not fresh. The arguments are
    those of :class:`FixedBlocks`; blocks overlap by ``lead`` tokens.

    Args:
        tokens: In the corpus; at least ``size``.
        size: Tokens in a block.
        lead: Tokens at the beginning of a block that only serve the prediction of others.
        seed: The run's seed.
    """

    tokens: int
    size: int
    lead: int
    seed: int

    @property
    def stride(self) -> int:
        """New tokens in a block."""
        return self.size - self.lead

    def __len__(self) -> int:
        return -(-self.tokens // self.stride)

    def at(self, epoch: int, index: int) -> Block:
        """A block of an epoch."""
        first = seed_of("offset", self.seed, epoch) % self.tokens
        fresh = min(self.stride, self.tokens - index * self.stride)
        start = (first + index * self.stride) % self.tokens
        return Block(start, slice(self.lead, self.lead + fresh))
