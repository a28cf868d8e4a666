"""Tables in parquet files, and data sets that the ``datasets`` library loads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from whitebox_transformers.data.columns import class_names
from whitebox_transformers.data.parquet_shard import ParquetShard
from whitebox_transformers.data.seeding import permutation
from whitebox_transformers.data.text.rows import Row

ROWS_AT_ONCE = 256
ROWS_IN_PART = 4096


class ParquetTable:
    """One parquet file; in another order its row groups are permuted.

    Raises:
        UserError: It is damaged or no parquet file.
    """

    def __init__(self, path: Path) -> None:
        self.where = str(path)
        self.shard = ParquetShard(path)
        self.columns = self.shard.schema.names

    def class_names(self, column: str) -> list[str] | None:
        """Names that the ``datasets`` library stored with a ClassLabel column, if it did."""
        return class_names(self.shard.schema, column)

    def rows(self, columns: Sequence[str], seed: int | None) -> Iterator[Row]:
        """All rows, some at a time."""
        count = self.shard.row_groups
        order = range(count) if seed is None else permutation(count, "groups", seed).tolist()
        for group in order:
            number = self.shard.first_row(group)
            for batch in self.shard.batches(list(columns), [group]):
                # By name: a file yields its columns in its own order.
                found = [batch.column(column).to_pylist() for column in columns]
                for values in zip(*found, strict=True):
                    yield Row(self.shard.name(number), values)
                    number += 1


class HubTable:
    """One split of a data set; in another order its parts are permuted.

    Args:
        dataset: Of the ``datasets`` library, in memory or in passing.
        where: What to call it in messages.
    """

    def __init__(self, dataset: Any, where: str) -> None:
        self.dataset = dataset
        self.where = where
        self.columns = list(dataset.column_names)

    def class_names(self, column: str) -> list[str] | None:
        """Those of a ClassLabel column."""
        return getattr(self.dataset.features[column], "names", None)

    def rows(self, columns: Sequence[str], seed: int | None) -> Iterator[Row]:
        """All rows, some at a time."""
        parts = self._parts(list(dict.fromkeys(columns)))
        count = len(parts)
        order = range(count) if seed is None else permutation(count, "parts", seed).tolist()
        for place, first, part in (parts[number] for number in order):
            number = first
            # Not ``iter(part)``: inside a worker that would leave out the other workers' share.
            for batch in part.iter(ROWS_AT_ONCE):
                for values in zip(*(batch[column] for column in columns), strict=True):
                    yield Row(f"{place} row {number}", values)
                    number += 1

    def _parts(self, columns: list[str]) -> list[tuple[str, int, Any]]:
        """Stretches of the data set, each with its name and the number of its first row."""
        dataset = self.dataset.select_columns(columns)
        if hasattr(dataset, "num_shards"):  # in passing: shards, whose lengths nobody knows
            shards = range(dataset.num_shards)
            return [(f"{self.where} shard {n}", 0, dataset.shard(len(shards), n)) for n in shards]
        firsts = range(0, len(dataset), ROWS_IN_PART)
        spans = (range(n, min(n + ROWS_IN_PART, len(dataset))) for n in firsts)
        return [(self.where, span.start, dataset.select(span)) for span in spans]
