"""Tables in text files: values between commas or tabs."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from whitebox_transformers.data.text.documents import BadDocument
from whitebox_transformers.data.text.rows import Row
from whitebox_transformers.errors import UserError

# The csv module refuses longer fields than 131,072 characters unless told otherwise.
LONGEST_FIELD = 2**31 - 1
# Bytes that are no UTF-8 become lone surrogates, so that only the rows that have them are refused.
READING: dict[str, Any] = {"encoding": "utf-8-sig", "errors": "surrogateescape"}


class DelimitedFile:
    """Values between commas (.csv) or tabs (.tsv).

    Args:
        path: The file.
        columns: Names of the columns; None: the first line tells them.
        quoted: Whether double quotes enclose values; None: in .csv, not in .tsv.

    Raises:
        UserError: It has no line, or an empty one where names are expected.
    """

    def __init__(
        self, path: Path, columns: Sequence[str] | None = None, quoted: bool | None = None
    ) -> None:
        self.path = path
        self.where = str(path)
        self.header = columns is None
        tabs = path.suffix.lower() == ".tsv"
        quoted = not tabs if quoted is None else quoted
        self.form = {
            "delimiter": "\t" if tabs else ",",
            "quoting": csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,
        }
        self.columns = list(columns) if columns else self._first_line()

    def class_names(self, column: str) -> None:
        """A text file knows none."""

    def rows(self, columns: Sequence[str], seed: int | None) -> Iterator[Row]:
        """All rows as they lie; the name tells the line in which a row ends."""
        places = [self.columns.index(column) for column in columns]
        csv.field_size_limit(LONGEST_FIELD)
        with self.path.open(newline="", **READING) as file:
            reader = csv.reader(file, **self.form)
            if self.header:
                next(reader, None)
            for values in reader:
                name = f"{self.path} line {reader.line_num}"
                if len(values) == len(self.columns):
                    yield Row(name, tuple(values[place] for place in places))
                elif values:  # blank lines are no rows
                    reason = f"it has {len(values)} values where {len(self.columns)} are expected"
                    yield Row(name, (), BadDocument(name, reason))

    def _first_line(self) -> list[str]:
        csv.field_size_limit(LONGEST_FIELD)
        with self.path.open(newline="", **READING) as file:
            columns = next(csv.reader(file, **self.form), [])
        if not columns:
            raise UserError(f"{self.path} does not begin with the names of its columns")
        return columns
