"""Training, validation and test: which documents, or which stretch of the text, belong to which."""

from __future__ import annotations

import math
import sys
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from whitebox_transformers.data.seeding import share_of
from whitebox_transformers.data.text.config import TextDataConfig
from whitebox_transformers.data.text.documents import BadDocument, Document, DocumentSource, read
from whitebox_transformers.data.text.survey import Survey
from whitebox_transformers.errors import UserError

MIB = 2**20
# Of so few documents a share may hold none; then it takes the one that hashes next.
FEW = 1000


@dataclass
class ByHash:
    """The documents whose keys hash into [low, high) of [0, 1)."""

    source: DocumentSource
    low: float
    high: float
    seed: int

    def documents(self, seed: int | None) -> Iterator[Document]:
        return (item for item in self.source.documents(seed) if self._holds(item))

    def _holds(self, document: Document) -> bool:
        return self.low <= share_of("carve", self.seed, document.key) < self.high


@dataclass
class ByPosition:
    """Characters [low, high) of all documents after each other.

    A single document is cut; of several, each belongs to the stretch in which it begins.
    """

    source: DocumentSource
    low: int
    high: int
    cut: bool

    def documents(self, seed: int | None) -> Iterator[Document]:
        position = 0
        for document in self.source.documents(seed):
            try:
                text = read(document).text
            except BadDocument:
                text = ""
            if not self.cut:
                if self.low <= position < self.high:
                    yield document
            elif stretch := text[self.low : self.high]:
                ending = document.ending if self.high >= len(text) else 0
                yield document._replace(content=stretch, ending=ending)
            position += len(text)


@dataclass
class Limited:
    """The first few documents, or the first few bytes of text."""

    source: DocumentSource
    count: int | None
    size: int | None

    def documents(self, seed: int | None) -> Iterator[Document]:
        # Not in the order asked for, by which every epoch would begin with other documents.
        documents = islice(self.source.documents(None), self.count)
        return documents if self.size is None else self._cut(documents, self.size)

    def _cut(self, documents: Iterator[Document], left: int) -> Iterator[Document]:
        for document in documents:
            try:
                text = read(document)
            except BadDocument:
                continue
            content, ending = text.text.encode(), text.ending
            if len(content) + ending <= left:
                yield document
            else:
                # A character whose bytes do not all fit is left out.
                start = content[:left].decode(errors="ignore")
                yield document._replace(content=start, ending=0)
            left -= len(content) + ending
            if left <= 0:
                return


def carve(
    sources: dict[str, DocumentSource], data: TextDataConfig, train: Survey
) -> dict[str, DocumentSource]:
    """Training, validation and, unless its share is 0, test; missing ones are carved from train.

    Args:
        sources: What exists, by role.
        data: The recipe's block.
        train: What the training source holds.

    Raises:
        UserError: There is no validation text, or too little of any to carve it.
    """
    missing = _missing(sources, data)
    splits = sources | _carved(sources["train"], missing, data, train) if missing else sources
    return {role: limited(source, data.limit, data.limit_mib) for role, source in splits.items()}


def carve_passing(
    sources: dict[str, DocumentSource], data: TextDataConfig
) -> dict[str, DocumentSource]:
    """The same without having read anything: by documents, each by its own hash alone."""
    splits, low = dict(sources), 0.0
    for role, share in _missing(sources, data).items():
        splits[role] = ByHash(sources["train"], low, low + share, data.split_seed)
        low += share
    if low:
        splits["train"] = ByHash(sources["train"], low, 1.0, data.split_seed)
    return splits


def limited(source: DocumentSource, count: int | None, mib: float | None) -> DocumentSource:
    """At most so many documents, or so many MiB of text."""
    if count is None and mib is None:
        return source
    return Limited(source, count, None if mib is None else int(mib * MIB))


def _missing(sources: dict[str, DocumentSource], data: TextDataConfig) -> dict[str, float]:
    """The shares of splits that are to be carved."""
    shares = {"test": data.test_share, "validation": data.validation_share}
    missing = {role: share for role, share in shares.items() if role not in sources and share > 0}
    if "validation" not in sources and "validation" not in missing:
        raise UserError(
            f"{data.where} has no validation text; give data.validation_path or a "
            "data.validation_share above 0"
        )
    return missing


def _carved(
    source: DocumentSource, shares: dict[str, float], data: TextDataConfig, found: Survey
) -> dict[str, DocumentSource]:
    """Splits of these shares, and the rest as training split."""
    alone = found.documents == 1
    lines = data.separator == "\n"
    if data.carve == "position" or (data.carve == "auto" and (alone or lines)):
        _require_characters(shares, data, found.characters)
        return _by_position(source, shares, found.characters, alone)
    seed, few = data.split_seed, found.documents <= FEW
    keys = (document.key for document in source.documents(None)) if few else ()
    places = sorted(share_of("carve", seed, key) for key in keys)
    splits: dict[str, DocumentSource] = {}
    low = 0.0
    for role, share in shares.items():
        following = places[bisect_left(places, low) :]
        high = max(low + share, math.nextafter(following[0], 1.0) if following else 0.0)
        splits[role] = ByHash(source, low, high, seed)
        low = high
    return splits | {"train": ByHash(source, low, 1.0, seed)}


def _require_characters(shares: dict[str, float], data: TextDataConfig, characters: int) -> None:
    for role, share in shares.items():
        if share * characters < 1:
            raise UserError(
                f"{data.where} has {characters:,} characters, of which data.{role}_share={share} "
                f"is none; give more text, raise the share or give data.{role}_path"
            )


def _by_position(
    source: DocumentSource, shares: dict[str, float], characters: int, alone: bool
) -> dict[str, DocumentSource]:
    splits: dict[str, DocumentSource] = {}
    # Blank lines at the very end begin where all characters are counted.
    taken, high = 0.0, sys.maxsize
    for role, share in shares.items():
        taken += share
        low = int((1 - taken) * characters)
        splits[role] = ByPosition(source, low, high, alone)
        high = low
    return splits | {"train": ByPosition(source, 0, high, alone)}
