"""Many byte strings in one tensor, so that worker processes share them instead of copying."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch


class PackedBytes:
    """A read-only list of byte strings.

    A Python list would be copied page by page into every forked worker as its reference counts
    change, and whole into every spawned one; torch tensors are shared in both cases.
    """

    def __init__(self, content: torch.Tensor, ends: torch.Tensor) -> None:
        self.content = content  # (bytes,) uint8
        self.ends = ends  # (strings,) int64

    @classmethod
    def of(cls, strings: Iterable[bytes | np.ndarray]) -> PackedBytes:
        """Pack byte strings, or arrays (bytes,) uint8, in their order."""
        strings = list(strings)
        lengths = np.fromiter((len(string) for string in strings), np.int64, len(strings))
        ends = np.cumsum(lengths)
        content = np.empty(int(lengths.sum()), dtype=np.uint8)
        for string, end in zip(strings, ends, strict=True):
            content[end - len(string) : end] = np.frombuffer(string, dtype=np.uint8)
        return cls(torch.from_numpy(content), torch.from_numpy(ends))

    def view(self, index: int) -> np.ndarray:
        """One string as uint8 values, without a copy."""
        start = int(self.ends[index - 1]) if index else 0
        return self.content[start : int(self.ends[index])].numpy()

    def __getitem__(self, index: int) -> bytes:
        return self.view(index).tobytes()

    def __len__(self) -> int:
        return len(self.ends)
