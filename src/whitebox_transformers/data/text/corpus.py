"""The tokens of a split, after each other in one array that worker processes share."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from tqdm.auto import tqdm

from whitebox_transformers.data.text.encode import Encoded
from whitebox_transformers.data.text.samples import Stretch


@dataclass
class Corpus:
    """All documents of a split, each ended by the token that separates them, if there is one."""

    tokens: torch.Tensor
    """(tokens,) uint16, or int32 for a vocabulary above 65,536."""
    starts: torch.Tensor
    """(documents,) int64: where each document begins."""
    first_bytes: torch.Tensor
    """(documents,) int64: UTF-8 bytes that the first token of each document stands for."""
    bytes: int
    """UTF-8 bytes of all documents and of the separators between them."""
    word_starts: torch.Tensor | None = None
    """(tokens,) bool: which tokens begin a word, if anybody asked."""

    def __len__(self) -> int:
        return len(self.tokens)

    def stretch(self, start: int, length: int, fresh: slice) -> Stretch:
        """``length`` tokens from ``start`` on, of which ``fresh`` are to be counted."""
        counted = torch.zeros(length, dtype=torch.bool)
        counted[fresh] = True
        return Stretch(
            self.ring(start, length),
            counted,
            self.borders(start, length),
            self.words(start, length),
        )

    def ring(self, start: int, length: int) -> torch.Tensor:
        """``length`` tokens from ``start`` on; the beginning follows the end. (length,) int64."""
        return torch.from_numpy(_ring(self.tokens, start, length).astype(np.int64))

    def words(self, start: int, length: int) -> torch.Tensor | None:
        """Which of those tokens begin a word, (length,) bool; the first one always does."""
        if self.word_starts is None:
            return None
        found = torch.from_numpy(_ring(self.word_starts, start, length).copy())
        found[0] = True
        return found

    def borders(self, start: int, length: int) -> torch.Tensor:
        """Which of those tokens begin a document, (length,) bool."""
        found = torch.zeros(length, dtype=torch.bool)
        for shift in (0, len(self)):
            window = torch.tensor([start - shift, start - shift + length])
            low, high = torch.searchsorted(self.starts, window).tolist()
            found[self.starts[low:high] + shift - start] = True
        return found


def _ring(values: torch.Tensor, start: int, length: int) -> np.ndarray:
    found = values.numpy()[start : start + length]
    if len(found) == length:
        return found
    return np.concatenate([found, values.numpy()[: length - len(found)]])


class Store(Protocol):
    """Arrays that grow at their ends, by the names of a corpus's fields."""

    def append(self, name: str, values: np.ndarray) -> None:
        """Put values behind the others of that name; all are of one type."""
        ...

    def corpus(self, size: int) -> Corpus:
        """The whole, which stands for ``size`` UTF-8 bytes."""
        ...


class Memory:
    """A store in memory."""

    def __init__(self) -> None:
        self._parts: dict[str, list[np.ndarray]] = {}

    def __enter__(self) -> Memory:
        return self

    def __exit__(self, *_: object) -> None:
        self._parts.clear()

    def append(self, name: str, values: np.ndarray) -> None:
        """Put values behind the others of that name."""
        self._parts.setdefault(name, []).append(values)

    def corpus(self, size: int) -> Corpus:
        """The whole."""
        whole = {name: np.concatenate(parts) for name, parts in self._parts.items()}
        return Corpus(
            bytes=size, **{name: torch.from_numpy(found) for name, found in whole.items()}
        )


def build_corpus(
    documents: Iterable[Encoded], separator: int | None, vocabulary: int, title: str, store: Store
) -> Corpus:
    """Put encoded documents after each other.

    Args:
        documents: In order.
        separator: Id of the token that ends each; None: there is none.
        vocabulary: Size of the vocabulary.
        title: Label of the progress bar.
        store: Where the arrays grow.
    """
    kind = np.uint16 if vocabulary <= 2**16 else np.int32
    end = np.array([] if separator is None else [separator], dtype=kind)
    starts, first_bytes, size, total = array("q"), array("q"), 0, 0
    store.append("tokens", end[:0])  # even if there is no document
    bar = tqdm(documents, desc=title, unit="document", leave=False, delay=1.0, mininterval=0.5)
    for ids, count, first, ending, word_starts in bar:
        starts.append(size)
        first_bytes.append(first if len(ids) else first + ending)
        store.append("tokens", ids.astype(kind))
        store.append("tokens", end)
        if word_starts is not None:
            store.append("word_starts", word_starts)
            store.append("word_starts", np.ones(len(end), dtype=bool))
        size += len(ids) + len(end)
        total += count + ending
    store.append("starts", np.array(starts, dtype=np.int64))
    store.append("first_bytes", np.array(first_bytes, dtype=np.int64))
    return store.corpus(total)
