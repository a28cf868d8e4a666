"""Endless text in lanes: each sample of a batch continues the same sample of the batch before."""

from __future__ import annotations

import heapq
from collections.abc import Iterator

import numpy as np
import torch

from whitebox_transformers.data.text.documents import Text
from whitebox_transformers.data.text.encode import Encoded
from whitebox_transformers.data.text.samples import Stretch


def assign(texts: Iterator[Text], lanes: int) -> Iterator[tuple[int, Text]]:
    """Give each document to the lane that has had the fewest bytes, the first of several.

    Bytes, not tokens: so every process knows where a document belongs without tokenising it.

    Args:
        texts: In order.
        lanes: How many there are.
    """
    loads = [(0, lane) for lane in range(lanes)]  # a heap already
    for text in texts:
        load, lane = loads[0]
        heapq.heapreplace(loads, (load + text.bytes + 1, lane))
        yield lane, text


class Lane:
    """Tokens that wait to be taken, documents after each other.

    Args:
        size: Tokens in a stretch.
        lead: How many of them the next stretch repeats.
        separator: Id of the token that ends each document.
    """

    def __init__(self, size: int, lead: int, separator: int) -> None:
        self.size, self.lead, self.separator = size, lead, separator
        self._waiting: list[np.ndarray] = []
        self._count = 0

    def add(self, document: Encoded) -> None:
        """Put a document and its end behind the others."""
        length = len(document.ids) + 1
        # Tokens, where documents begin, where words begin.
        rows = np.zeros((2 if document.word_starts is None else 3, length), dtype=np.int32)
        rows[0, :-1], rows[0, -1] = document.ids, self.separator
        rows[1, 0] = 1
        if document.word_starts is not None:
            rows[2, :-1], rows[2, -1] = document.word_starts, 1
        self._waiting.append(rows)
        self._count += length

    @property
    def is_ready(self) -> bool:
        """Whether there are tokens for a stretch."""
        return self._count >= self.size

    def take(self) -> Stretch:
        """The next stretch; its first ``lead`` tokens were the last of the one before."""
        parts = self._waiting
        whole = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
        tokens, borders, *words = torch.from_numpy(whole[:, : self.size].copy())
        self._waiting = [whole[:, self.size - self.lead :]]
        self._count = self._waiting[0].shape[1]
        for begins in words:
            begins[0] = 1
        fresh = torch.arange(self.size) >= self.lead
        return Stretch(tokens.long(), fresh, borders.bool(), words[0].bool() if words else None)
