"""Parquet folders as the ``datasets`` library writes them: an image and a label in each row."""

from __future__ import annotations

import bisect
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from whitebox_transformers.data.columns import class_names, image_column, label_column
from whitebox_transformers.data.config import DataConfig
from whitebox_transformers.data.location import existing_folder
from whitebox_transformers.data.packed import PackedBytes
from whitebox_transformers.data.records import Record, Splits
from whitebox_transformers.data.seeding import permutation
from whitebox_transformers.data.splits import find_splits
from whitebox_transformers.errors import UserError
from whitebox_transformers.extras import require

if TYPE_CHECKING:
    import pyarrow
    from pyarrow.parquet import ParquetFile

GIB = 2**30


class ParquetShard:
    """One file: its columns, its rows, and messages that name it."""

    def __init__(self, path: Path, data: DataConfig) -> None:
        self.path = path
        with self.open() as file:
            schema = file.schema_arrow
            self.rows = file.metadata.num_rows
            self.row_groups = file.metadata.num_row_groups
            self.bytes = _uncompressed_bytes(file)
        self.image = image_column(schema, data, str(path))
        self.label = label_column(schema, data, str(path))
        self.names = class_names(schema, self.label)

    @contextmanager
    def open(self) -> Iterator[ParquetFile]:
        """The file, memory-mapped.

        Raises:
            UserError: It is damaged or no parquet file.
        """
        parquet = require("pyarrow.parquet", extra="train")
        arrow = require("pyarrow", extra="train")
        try:
            with parquet.ParquetFile(self.path, memory_map=True) as file:
                yield file
        except (arrow.ArrowException, OSError) as error:
            reason = str(error).partition("\n")[0]
            raise UserError(f"{self.path} cannot be read as parquet: {reason}") from error

    def batches(self, groups: list[int] | None = None) -> Iterator[pyarrow.RecordBatch]:
        """The image and label columns, some rows at a time."""
        with self.open() as file:
            columns = [self.image, self.label]
            for group in range(self.row_groups) if groups is None else groups:
                yield from file.iter_batches(1024, row_groups=[group], columns=columns)

    def name(self, row: int) -> str:
        return f"{self.path} row {row}"


class ParquetSource:
    """Rows of parquet files, encoded images in memory once for all workers."""

    def __init__(self, shards: list[ParquetShard]) -> None:
        _refuse_beyond_memory(shards)
        self.shards = shards
        self.starts = [0, *np.cumsum([shard.rows for shard in shards]).tolist()]
        self.content: list[PackedBytes] = []
        labels = []
        for shard in shards:
            images = []
            for batch in shard.batches():
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

    def __init__(self, shards: list[ParquetShard]) -> None:
        self.shards = shards

    def records(self, seed: int | None) -> Iterator[Record]:
        groups = [(shard, g) for shard in self.shards for g in range(shard.row_groups)]
        order = range(len(groups)) if seed is None else permutation(len(groups), seed).tolist()
        for shard, group in (groups[position] for position in order):
            row = _first_row(shard, group)
            for batch in shard.batches([group]):
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
    files = _files_by_split(root)
    if not files:
        raise UserError(f"data.path={data.path}: {root} holds no *.parquet file")
    roles = find_splits(files, data)
    shards = {
        role: [ParquetShard(path, data) for path in files[split]] for role, split in roles.items()
    }
    names = shards["train"][0].names
    if data.streaming:
        return {role: ParquetStream(split) for role, split in shards.items()}, names
    return {role: ParquetSource(split) for role, split in shards.items()}, names


def _files_by_split(root: Path) -> dict[str, list[Path]]:
    """``train-00000-of-00002.parquet``, ``train.parquet`` or ``train/anything.parquet``.

    Folders named ``data`` do not count, and files without a name of a split are training files.
    """
    files: dict[str, list[Path]] = {}
    for path in sorted(root.rglob("*.parquet")):
        above = [part for part in path.relative_to(root).parts[:-1] if part != "data"]
        stem = re.split(r"[^A-Za-z_]", path.stem, maxsplit=1)[0]
        files.setdefault(above[-1] if above else stem or "train", []).append(path)
    return files


def _uncompressed_bytes(file: ParquetFile) -> int:
    groups = (file.metadata.row_group(g) for g in range(file.metadata.num_row_groups))
    return sum(group.total_byte_size for group in groups)


def _refuse_beyond_memory(shards: list[ParquetShard]) -> None:
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


def _labels(batch: pyarrow.RecordBatch, shard: ParquetShard) -> np.ndarray:
    """Class numbers (rows,) int64; missing ones become -1, which no class has."""
    column = batch.column(batch.schema.get_field_index(shard.label))
    return column.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)


def _content(shard: ParquetShard, value: pyarrow.Scalar) -> bytes:
    """The encoded image of a row; empty if it is missing."""
    content = value.as_py()
    if isinstance(content, dict):
        path = content.get("path")
        content = content["bytes"]
        if content is None and path:
            file = shard.path.parent / path
            content = file.read_bytes() if file.is_file() else None
    return content or b""


def _first_row(shard: ParquetShard, group: int) -> int:
    with shard.open() as file:
        return sum(file.metadata.row_group(g).num_rows for g in range(group))
