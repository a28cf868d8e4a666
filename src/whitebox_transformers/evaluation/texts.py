"""Texts to score: files, columns of tables, data sets by name, each with what identifies it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from whitebox_transformers.data.text.documents import BadDocument, Document, read
from whitebox_transformers.data.text.rows import Table
from whitebox_transformers.data.text.stored_rows import HubTable
from whitebox_transformers.data.text.tables import (
    ENDINGS,
    FORMATS,
    column_texts,
    open_table,
    require_column,
    text_column,
)
from whitebox_transformers.errors import UserError
from whitebox_transformers.extras import require


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
        names: Files, UTF-8 or parquet or JSON lines; with ``column``, also .csv, .tsv, folders and
            names that ``datasets.load_dataset`` takes.
        column: Column of a table that holds texts, one in a row; ``text``, ``sentence`` or the only
            one if nothing is said.
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
        elif path.suffix.lower() in (FORMATS if column is None else ENDINGS):
            found, source = _table(path, column)
        elif column is not None:
            raise UserError(
                f"{name} is plain text and has no column {column!r}; leave --column out, or give "
                f"one of {', '.join(ENDINGS)}"
            )
        else:
            found, source = _plain(path, separator, lines)
        tables = tables or "column" in source
        kept = [text for text in found if text.strip()]
        if not kept:
            raise UserError(f"{name} holds no text, only white space")
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


def _table(path: Path, column: str | None) -> tuple[list[str], dict[str, Any]]:
    _, source = _content(path)
    return _texts_of(open_table(path), column, source)


def _data_set(name: str, split: str, column: str) -> tuple[list[str], dict[str, Any]]:
    datasets = require("datasets", extra="train")
    try:
        loaded = datasets.load_dataset(name, split=split)
    # Whatever goes wrong in there, from a missing name to a broken connection, is not ours.
    except Exception as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise UserError(f"{name}: neither a file nor a data set: {reason}") from error
    source = {"data set": name, "split": split, "fingerprint": loaded._fingerprint}
    return _texts_of(HubTable(loaded, f"{name} {split}"), column, source)


def _texts_of(
    table: Table, asked: str | None, source: dict[str, Any]
) -> tuple[list[str], dict[str, Any]]:
    column = text_column(table, asked, "--column")
    require_column(table, column, "--column")
    return list(column_texts(table, column)), source | {"column": column}


def _content(path: Path) -> tuple[bytes, dict[str, Any]]:
    if not path.is_file():
        raise UserError(f"{path} is not a file; expected a text")
    content = path.read_bytes()
    if not content:
        raise UserError(f"{path} is empty; expected a text")
    digest = hashlib.sha256(content).hexdigest()
    return content, {"file": str(path), "bytes": len(content), "sha256": digest}


def _decoded(content: bytes, path: Path) -> str:
    try:
        return read(Document(str(path), "", content)).text
    except BadDocument as error:
        raise UserError(f"{error}; give UTF-8 text, e.g. by iconv") from error
