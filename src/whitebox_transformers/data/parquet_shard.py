"""Parquet files as they lie: columns, rows, row groups, and messages that name the file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from whitebox_transformers.errors import UserError
from whitebox_transformers.extras import require

if TYPE_CHECKING:
    import pyarrow
    from pyarrow.parquet import ParquetFile


class ParquetShard:
    """One file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with self.open() as file:
            self.schema = file.schema_arrow
            self.rows = file.metadata.num_rows
            self.row_groups = file.metadata.num_row_groups
            groups = (file.metadata.row_group(g) for g in range(self.row_groups))
            self.bytes = sum(group.total_byte_size for group in groups)

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

    def batches(
        self, columns: list[str], groups: list[int] | None = None
    ) -> Iterator[pyarrow.RecordBatch]:
        """Some columns, some rows at a time."""
        with self.open() as file:
            for group in range(self.row_groups) if groups is None else groups:
                yield from file.iter_batches(1024, row_groups=[group], columns=columns)

    def first_row(self, group: int) -> int:
        """Number of the row that begins a row group."""
        with self.open() as file:
            return sum(file.metadata.row_group(g).num_rows for g in range(group))

    def name(self, row: int) -> str:
        """What to call a row in messages."""
        return f"{self.path} row {row}"
