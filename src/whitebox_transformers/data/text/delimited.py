"""Tables in text files: values between commas or tabs, or a JSON object in each line."""

from __future__ import annotations

import csv
import json
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


class JsonLines:
    """A JSON object in each line; the first one tells the columns.

    Args:
        path: The file.

    Raises:
        UserError: The first line is no JSON object.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.where = str(path)
        first = next(self._objects(), None)
        if first is None or isinstance(first[1], BadDocument):
            reason = "it is empty" if first is None else str(first[1])
            raise UserError(f"{path} does not begin with a JSON object: {reason}")
        self.columns = list(first[1])

    def class_names(self, column: str) -> None:
        """A text file knows none."""

    def rows(self, columns: Sequence[str], seed: int | None) -> Iterator[Row]:
        """All rows as they lie."""
        for name, found in self._objects():
            if isinstance(found, BadDocument):
                yield Row(name, (), found)
                continue
            fault = _lack(name, found, columns)
            yield Row(name, () if fault else tuple(found[column] for column in columns), fault)

    def _objects(self) -> Iterator[tuple[str, dict | BadDocument]]:
        with self.path.open(**READING) as file:
            for number, line in enumerate(file, start=1):
                if line.isspace():
                    continue
                name = f"{self.path} line {number}"
                try:
                    found = json.loads(line)
                except ValueError as error:
                    yield name, BadDocument(name, f"not JSON: {error}")
                    continue
                kind = type(found).__name__
                fault = BadDocument(name, f"it holds a {kind}; an object is expected")
                yield name, found if isinstance(found, dict) else fault


def _lack(name: str, found: dict, columns: Sequence[str]) -> BadDocument | None:
    lacking = next((column for column in columns if column not in found), None)
    if lacking is None:
        return None
    return BadDocument(name, f"it has no {lacking!r}, but: {', '.join(found) or 'nothing'}")
