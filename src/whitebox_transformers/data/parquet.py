"""Parquet folders as the ``datasets`` library writes them: an image and a label in each row."""

from __future__ import annotations

import bisect
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from whitebox_transformers.data.columns import class_names, image_column, label_column
from whitebox_transformers.data.config import DataConfig
from whitebox_transformers.data.location import existing_folder
from whitebox_transformers.data.packed import PackedBytes
from whitebox_transformers.data.parquet_shard import ParquetShard
from whitebox_transformers.data.records import Record, Splits
from whitebox_transformers.data.seeding import permutation
from whitebox_transformers.data.splits import files_by_split, find_splits
from whitebox_transformers.errors import UserError

if TYPE_CHECKING:
    import pyarrow

GIB = 2**30


class ImageShard(ParquetShard):
    """One file with its image and label columns."""

    def __init__(self, path: Path, data: DataConfig) -> None:
        super().__init__(path)
        self.image = image_column(self.schema, data, str(path))
        self.label = label_column(self.schema, data, str(path))
        self.names = class_names(self.schema, self.label)

    def images(self, groups: list[int] | None = None) -> Iterator[pyarrow.RecordBatch]:
        """The image and, if there is one, the label column, some rows at a time."""
        return self.batches([self.image, *([self.label] if self.label else [])], groups)


class ParquetSource:
    """Rows of parquet files, encoded images in memory once for all workers."""

    def __init__(self, shards: list[ImageShard]) -> None:
        _refuse_beyond_memory(shards)
        self.shards = shards
        self.starts = [0, *np.cumsum([shard.rows for shard in shards]).tolist()]
        self.content: list[PackedBytes] = []
        labels = []
        for shard in shards:
            images = []
            for batch in shard.images():
                images += [_content(shard, value) for value in batch.column(shard.image)]
                labels.append(_labels(batch, shard))
            self.content.append(PackedBytes.of(images))
        self.labels = torch.from_numpy(np.concatenate(labels or [np.empty(0, np.int64)]))

    def record(self, index: int) -> Record:
        number = bisect.bisect_right(self.starts, index) - 1
        row = index - self.starts[number]
        content = self.content[number][row]
        return Record(self.shards[number].name(row), int(self.labels[index]), content)

    def __len__(self) -> int:
        return len(self.labels)


class ParquetStream:
    """Rows of parquet files in passing; the order of row groups is permuted, rows are not."""

    def __init__(self, shards: list[ImageShard]) -> None:
        self.shards = shards

    def records(self, seed: int | None) -> Iterator[Record]:
        groups = [(shard, g) for shard in self.shards for g in range(shard.row_groups)]
        order = range(len(groups)) if seed is None else permutation(len(groups), seed).tolist()
        for shard, group in (groups[position] for position in order):
            row = shard.first_row(group)
            for batch in shard.images([group]):
                labels = _labels(batch, shard)
                for value, label in zip(batch.column(shard.image), labels, strict=True):
                    yield Record(shard.name(row), int(label), _content(shard, value))
                    row += 1

    def __len__(self) -> int:
        return sum(shard.rows for shard in self.shards)


def open_parquet(data: DataConfig) -> tuple[Splits, list[str] | None]:
    """Sources by role and the class names stored with the data, if any.

    Raises:
        UserError: No parquet files, a damaged one, or columns that do not fit; the file is named.
    """
    root = existing_folder(data.path)
    files = files_by_split(root, ".parquet")
    if not files:
        raise UserError(f"data.path={data.path}: {root} holds no *.parquet file")
    roles = find_splits(files, data)
    shards = {
        role: [ImageShard(path, data) for path in files[split]] for role, split in roles.items()
    }
    names = shards["train"][0].names
    if data.streaming:
        return {role: ParquetStream(split) for role, split in shards.items()}, names
    return {role: ParquetSource(split) for role, split in shards.items()}, names


def _refuse_beyond_memory(shards: list[ImageShard]) -> None:
    needed = sum(shard.bytes for shard in shards)
    try:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return  # Not every system tells.
    if needed > 0.8 * free:
        raise UserError(
            f"{shards[0].path.parent} needs {needed / GIB:.1f} GiB of memory, {free / GIB:.1f} GiB "
            f"are free; read it in passing with data.streaming=true"
        )


def _labels(batch: pyarrow.RecordBatch, shard: ImageShard) -> np.ndarray:
    """Class numbers (rows,) int64, 0 without classes; a missing one is -1, which no class has."""
    if shard.label is None:
        return np.zeros(len(batch), np.int64)
    column = batch.column(batch.schema.get_field_index(shard.label))
    return column.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)


def _content(shard: ImageShard, value: pyarrow.Scalar) -> bytes:
    """The encoded image of a row; empty if it is missing."""
    content = value.as_py()
    if isinstance(content, dict):
        path = content.get("path")
        content = content["bytes"]
        if content is None and path:
            file = shard.path.parent / path
            content = file.read_bytes() if file.is_file() else None
    return content or b""
