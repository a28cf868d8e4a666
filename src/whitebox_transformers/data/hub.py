"""Data sets that the ``datasets`` library loads by name."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import torch

from whitebox_transformers.data.columns import class_names, image_column, label_column
from whitebox_transformers.data.config import DataConfig
from whitebox_transformers.data.location import expand
from whitebox_transformers.data.records import Record, Splits
from whitebox_transformers.data.seeding import permutation
from whitebox_transformers.data.splits import SplitNames, find_splits
from whitebox_transformers.errors import UserError
from whitebox_transformers.extras import require

ROWS_AT_ONCE = 64


class HubSource:
    """One split, memory-mapped by ``datasets``: workers share it."""

    def __init__(self, dataset: Any, image: str, label: str | None, where: str) -> None:
        self.dataset = dataset
        self.image, self.label, self.where = image, label, where
        self.labels = torch.zeros(len(dataset), dtype=torch.int64)
        if label is not None:
            labels = dataset.data.column(label).fill_null(-1).to_numpy()
            self.labels = torch.tensor(labels, dtype=torch.int64)

    def record(self, index: int) -> Record:
        value = self.dataset[index][self.image]
        name = f"{self.where} row {index}"
        return Record(name, int(self.labels[index]), _content(value))

    def __len__(self) -> int:
        return len(self.labels)


class HubStream:
    """One split in passing; the order of its shards is permuted, images within them are not."""

    def __init__(self, dataset: Any, image: str, label: str | None, where: str) -> None:
        self.dataset = dataset
        self.image, self.label, self.where = image, label, where

    def records(self, seed: int | None) -> Iterator[Record]:
        shards = self.dataset.num_shards
        order = range(shards) if seed is None else permutation(shards, seed).tolist()
        for number in order:
            # Not ``iter(shard)``: inside a worker that would leave out the other workers' part.
            for rows in self.dataset.shard(shards, number).iter(ROWS_AT_ONCE):
                labels = rows[self.label] if self.label else [0] * len(rows[self.image])
                for value, label in zip(rows[self.image], labels, strict=True):
                    content = _content(value)
                    name = f"{self.where} image {_fingerprint(content):08x}"
                    yield Record(name, -1 if label is None else int(label), content)


class HubNames(SplitNames, Protocol):
    """The keys of a ``data:`` block that name a data set."""

    @property
    def subset(self) -> str | None: ...

    @property
    def revision(self) -> str | None: ...


def load_splits(data: HubNames, streaming: bool) -> dict[str, tuple[Any, str]]:
    """Data sets by role, each with its name for messages.

    Args:
        data: What is asked for.
        streaming: Whether to load them in passing.

    Raises:
        UserError: The data set cannot be loaded, or does not tell its columns.
    """
    datasets = require("datasets", extra="train")
    name = expand(str(data.path))
    try:
        loaded = datasets.load_dataset(
            name, data.subset, revision=data.revision, streaming=streaming
        )
    # Whatever goes wrong in there, from a missing name to a broken connection, is not ours.
    except Exception as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise UserError(f"data.path={data.path}: cannot load this data set: {reason}") from error
    splits = {}
    for role, split in find_splits(loaded, data).items():
        where = f"{name} {split}"
        if loaded[split].features is None:
            raise UserError(f"{where} does not tell its columns; it cannot be streamed")
        splits[role] = loaded[split], where
    return splits


def open_hub(data: DataConfig) -> tuple[Splits, list[str] | None]:
    """Sources by role and the class names of the data set, if it has any.

    Raises:
        UserError: The data set cannot be loaded, or its columns do not fit.
    """
    datasets = require("datasets", extra="train")
    kind = HubStream if data.streaming else HubSource
    sources, names = {}, None
    for role, (dataset, where) in load_splits(data, data.streaming).items():
        schema = dataset.features.arrow_schema
        image, label = image_column(schema, data, where), label_column(schema, data, where)
        names = names or class_names(schema, label)
        dataset = dataset.select_columns([image, *([label] if label else [])])
        if isinstance(dataset.features[image], datasets.Image):
            dataset = dataset.cast_column(image, datasets.Image(decode=False))
        sources[role] = kind(dataset, image, label, where)
    return sources, names


def _content(value: Any) -> bytes | Path | None:
    if not isinstance(value, dict):
        return value
    if value["bytes"] is None and value.get("path"):
        return Path(value["path"])
    return value["bytes"]


def _fingerprint(content: bytes | Path | None) -> int:
    """A number that names an image of a stream, which has no row numbers."""
    if not isinstance(content, bytes):
        return zlib.crc32(str(content).encode())
    return zlib.crc32(content[:4096] + content[-4096:])
