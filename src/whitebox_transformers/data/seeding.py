"""Random draws as functions of what they are for, never of what was drawn before."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from itertools import islice
from typing import TypeVar

import torch

T = TypeVar("T")


def seed_of(*parts: int | str) -> int:
    """A seed in [0, 2^63) that depends on every part and on their order.

    The same on every machine and in every process, unlike ``hash``.
    """
    digest = blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def share_of(*parts: int | str) -> float:
    """A number in [0, 1) that depends on every part, evenly spread; see :func:`seed_of`."""
    return seed_of(*parts) / 2**63


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw from torch's CPU generator under ``seed``; its state is restored afterwards."""
    before = torch.get_rng_state()
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(before)


def permutation(length: int, *parts: int | str) -> torch.Tensor:
    """A random order of ``range(length)``, (length,) int64, drawn under ``seed_of(*parts)``."""
    return torch.randperm(length, generator=torch.Generator().manual_seed(seed_of(*parts)))


def shuffled(items: Iterator[T], size: int, seed: int) -> Iterator[T]:
    """Draw from a buffer of ``size`` items that is refilled as it is drawn from."""
    draw = random.Random(seed)
    buffer = list(islice(items, size))
    for item in items:
        position = draw.randrange(len(buffer))
        buffer[position], drawn = item, buffer[position]
        yield drawn
    draw.shuffle(buffer)
    yield from buffer
