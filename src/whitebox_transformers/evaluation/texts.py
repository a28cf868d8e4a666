"""Texts to score: files, columns of tables, data sets by name, each with what identifies it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from whitebox_transformers.errors import UserError
from whitebox_transformers.extras import require

TABLES = (".parquet", ".jsonl", ".ndjson")
COLUMN = "text"


@dataclass(frozen=True)
class Texts:
    """Texts in order, and where they are from.

    Attributes:
        texts: Not empty, each with something other than white space.
        sources: What identifies them: file, bytes and SHA-256, or data set, split and fingerprint.
        form: What one text is, in words.
    """

    texts: list[str]
    sources: list[dict[str, Any]]
    form: str


def read_texts(
    names: Sequence[str | Path],
    column: str | None = None,
    separator: str | None = None,
    lines: bool = False,
    split: str = "test",
) -> Texts:
    """Read everything that is to be scored.

    Args:
        names: Files, UTF-8 or parquet or JSON lines; with ``column``, also folders and names that
            ``datasets.load_dataset`` takes.
        column: Column of a table that holds texts, one in a row; ``text`` if nothing is said.
        separator: What separates the texts of a plain file; ``None``: a file is one text.
        lines: Every line of a plain file is a text.
        split: Of a data set that ``datasets`` loads.

    Raises:
        UserError: Nothing is named, a file is missing, empty or not UTF-8, or there is no such
            column.
    """
    if not names:
        raise UserError("no text is named; give one or more files")
    texts: list[str] = []
    sources: list[dict[str, Any]] = []
    tables = False
    for name in names:
        path = Path(name).expanduser()
        if column is not None and not path.is_file():
            found, source = _data_set(str(name), split, column)
        elif path.suffix.lower() in TABLES:
            found, source = _table(path, column or COLUMN)
        else:
            found, source = _plain(path, separator, lines)
        tables = tables or "column" in source
        kept = [text for text in found if text.strip()]
        if not kept:
            raise UserError(f"{name} holds no text, only white space; expected something to score")
        texts += kept
        sources.append(source)
    return Texts(texts, sources, _form(tables, separator, lines))


def _form(tables: bool, separator: str | None, lines: bool) -> str:
    if tables:
        return "a row is a text"
    if lines:
        return "a line is a text"
    return "a file is a text" if separator is None else f"{separator!r} separates texts"


def _plain(path: Path, separator: str | None, lines: bool) -> tuple[Iterable[str], dict[str, Any]]:
    content, source = _content(path)
    text = _decoded(content, path)
    if lines:
        return (line.strip() for line in text.splitlines()), source
    if separator is None:
        return [text], source
    return text.split(separator), source


def _table(path: Path, column: str) -> tuple[list[str], dict[str, Any]]:
    content, source = _content(path)
    if path.suffix.lower() == ".parquet":
        return _parquet_column(path, column), source | {"column": column}
    rows = []
    for number, line in enumerate(_decoded(content, path).splitlines(), start=1):
        if line.strip():
            rows.append(_field(line, column, f"{path} line {number}"))
    return rows, source | {"column": column}


def _field(line: str, column: str, where: str) -> str:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise UserError(f"{where} is not JSON: {error}") from error
    if not isinstance(row, dict) or not isinstance(row.get(column), str):
        has = ", ".join(row) if isinstance(row, dict) else type(row).__name__
        raise UserError(f"{where} has no text under {column!r}; it has: {has}")
    return row[column]


def _parquet_column(path: Path, column: str) -> list[str]:
    parquet, arrow = require("pyarrow.parquet", "train"), require("pyarrow", "train")
    try:
        with parquet.ParquetFile(path) as file:
            _check_column(column, file.schema_arrow.names, str(path))
            values = file.read([column]).column(column).to_pylist()
    except (arrow.ArrowException, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(f"{path} cannot be read as parquet: {reason}") from error
    return _strings(values, column, str(path))


def _data_set(name: str, split: str, column: str) -> tuple[list[str], dict[str, Any]]:
    datasets = require("datasets", extra="train")
    try:
        loaded = datasets.load_dataset(name, split=split)
    # Whatever goes wrong in there, from a missing name to a broken connection, is not ours.
    except Exception as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise UserError(f"{name}: neither a file nor a data set: {reason}") from error
    _check_column(column, loaded.column_names, f"{name} {split}")
    source = {
        "data set": name,
        "split": split,
        "fingerprint": loaded._fingerprint,
        "column": column,
    }
    return _strings(loaded[column], column, f"{name} {split}"), source


def _check_column(column: str, names: Iterable[str], where: str) -> None:
    if column not in names:
        raise UserError(f"{where} has no column {column!r}; it has: {', '.join(names)}")


def _strings(values: Iterable[Any], column: str, where: str) -> list[str]:
    strings = [value for value in values if value is not None]
    for value in strings:
        if not isinstance(value, str):
            raise UserError(
                f"{where}: column {column!r} holds {type(value).__name__}; expected texts"
            )
    return strings


def _content(path: Path) -> tuple[bytes, dict[str, Any]]:
    if not path.is_file():
        raise UserError(f"{path} is not a file; expected a text to score")
    content = path.read_bytes()
    if not content:
        raise UserError(f"{path} is empty; expected a text to score")
    digest = hashlib.sha256(content).hexdigest()
    return content, {"file": str(path), "bytes": len(content), "sha256": digest}


def _decoded(content: bytes, path: Path) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path} is not UTF-8: byte {error.start:,} is 0x{content[error.start]:02x}; "
            "convert it first, e.g. with iconv"
        ) from error
