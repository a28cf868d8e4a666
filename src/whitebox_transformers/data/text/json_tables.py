"""Tables in JSON: a list, or an object in each line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from whitebox_transformers.data.text.delimited import READING
from whitebox_transformers.data.text.documents import BadDocument
from whitebox_transformers.data.text.rows import Row, Table
from whitebox_transformers.errors import UserError

# The name of the only column of a list of texts.
TEXT = "text"
Found = dict | BadDocument


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
        return _rows(self._objects(), columns)

    def _objects(self) -> Iterator[tuple[str, Found]]:
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
                yield name, _object(name, found)


class JsonList:
    """One JSON list, of objects or of texts; the first one tells the columns.

    Args:
        path: The file.

    Raises:
        UserError: It is no JSON list, or does not begin with an object or a text.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.where = str(path)
        self._items = self._read()
        first = next(self._objects(), None)
        if first is None or isinstance(first[1], BadDocument):
            reason = "the list is empty" if first is None else str(first[1])
            raise UserError(f"{path} is no list of texts or JSON objects: {reason}")
        self.columns = list(first[1])

    def class_names(self, column: str) -> None:
        """A text file knows none."""

    def rows(self, columns: Sequence[str], seed: int | None) -> Iterator[Row]:
        """All rows as they lie; the name tells their number from 1."""
        return _rows(self._objects(), columns)

    def _read(self) -> list:
        try:
            with self.path.open(**READING) as file:
                return json.load(file)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{self.path} is not JSON: {error}") from error

    def _objects(self) -> Iterator[tuple[str, Found]]:
        for number, item in enumerate(self._items, start=1):
            name = f"{self.path} item {number}"
            yield name, {TEXT: item} if isinstance(item, str) else _object(name, item)


def open_json(path: Path) -> Table:
    """A .json file: a list where it begins with a bracket, otherwise an object in each line.

    Raises:
        UserError: It is neither.
    """
    with path.open(**READING) as file:
        first = next((line.lstrip() for line in file if not line.isspace()), "")
    if first.startswith("["):
        return JsonList(path)
    try:
        return JsonLines(path)
    except UserError as error:
        raise UserError(
            f"{error}; a .json file should hold a list of texts or objects, or an object in each "
            "line"
        ) from error


def _object(name: str, found: object) -> Found:
    if isinstance(found, dict):
        return found
    return BadDocument(name, f"it holds a {type(found).__name__}; an object is expected")


def _rows(objects: Iterator[tuple[str, Found]], columns: Sequence[str]) -> Iterator[Row]:
    for name, found in objects:
        if isinstance(found, BadDocument):
            yield Row(name, (), found)
            continue
        fault = _lack(name, found, columns)
        yield Row(name, () if fault else tuple(found[column] for column in columns), fault)


def _lack(name: str, found: dict, columns: Sequence[str]) -> BadDocument | None:
    lacking = next((column for column in columns if column not in found), None)
    if lacking is None:
        return None
    return BadDocument(name, f"it has no {lacking!r}, but: {', '.join(found) or 'nothing'}")
