"""Texts to score: files, columns of tables, data sets by name, each with what identifies it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from whitebox_transformers.data.text.documents import BadDocument, Document, read
from whitebox_transformers.data.text.rows import Table
from whitebox_transformers.data.text.stored_rows import HubTable
from whitebox_transformers.data.text.tables import (
    ENDINGS,
    column_texts,
    open_table,
    require_column,
    text_column,
)
from whitebox_transformers.errors import UserError
from whitebox_transformers.extras import require

# A text, and the bytes of what ended it, where something ends texts.
Piece = tuple[str, int | None]
Source = dict[str, Any]


@dataclass(frozen=True)
class Texts:
    """Texts in order, and where they are from.

    Attributes:
        texts: Not empty, each with something other than white space.
        sources: What identifies them: file, bytes and SHA-256, or data set, split and fingerprint.
        form: What one text is, in words.
        endings: Bytes of what ended each, 0 for the last one of a file with a separator; ``None``
            where nothing ends texts.
        together: Whether they follow each other, as documents that training may cross.
    """

    texts: list[str]
    sources: list[dict[str, Any]]
    form: str
    endings: list[int | None] = field(default_factory=list)
    together: bool = False


def read_texts(
    names: Sequence[str | Path],
    column: str | None = None,
    separator: str | None = None,
    lines: bool = False,
    split: str = "test",
    together: bool = False,
) -> Texts:
    """Read everything that is to be scored.

    Args:
        names: Files of UTF-8 text, or tables by their endings (.csv, .tsv, .json, .jsonl,
            .parquet); with ``column`` also folders and names that ``datasets.load_dataset`` takes.
        column: Column of a table that holds texts, one in a row; ``text``, ``sentence`` or the only
            one if nothing is said.
        separator: What ends a text in a plain file, as in a recipe's ``data.separator``; ``None``:
            a file is one text.
        lines: Every line of a plain file is a text, white space around it left out.
        split: Of a data set that ``datasets`` loads.
        together: The texts follow each other, as documents that training may cross; empty ones
            that a separator ended are kept.

    Raises:
        UserError: Nothing is named, a file is missing, empty or not UTF-8, there is no such
            column, or a separator that never occurs or is nothing.
    """
    if not names:
        raise UserError("no text is named; give one or more files")
    if separator == "":
        raise UserError("an empty separator separates nothing; leave it out: a file is one text")
    kept: list[Piece] = []
    sources: list[Source] = []
    tables = separated = False
    for name in names:
        found, source = _read_one(name, column, separator, lines, split)
        if not any(text.strip() for text, _ in found):
            raise UserError(f"{name} holds no text, only white space")
        tables = tables or "column" in source
        separated = separated or any(ending for _, ending in found)
        kept += [piece for piece in found if (any(piece) if together else piece[0].strip())]
        sources.append(source)
    if separator is not None and not separated:
        raise UserError(
            f"the separator {separator!r} occurs in none of {', '.join(map(str, names))}; leave "
            "it out: a file, or a row of a table, is one text"
        )
    texts, endings = [text for text, _ in kept], [ending for _, ending in kept]
    return Texts(texts, sources, _form(tables, separator, lines, together), endings, together)


def _read_one(
    name: str | Path, column: str | None, separator: str | None, lines: bool, split: str
) -> tuple[list[Piece], Source]:
    path = Path(name).expanduser()
    if column is not None and not path.is_file():
        return _data_set(str(name), split, column)
    if path.suffix.lower() in ENDINGS:
        return _table(path, column)
    if column is not None:
        raise UserError(
            f"{name} is plain text and has no column {column!r}; leave --column out, or give "
            f"one of {', '.join(ENDINGS)}"
        )
    return _plain(path, separator, lines)


def _form(tables: bool, separator: str | None, lines: bool, together: bool) -> str:
    form = "a file is a text"
    if lines:
        form = "a line is a text"
    elif separator is not None:
        form = f"{separator!r} ends a text; the end token, if there is one, is scored in its place"
    if tables:
        form = "a row is a text"
    after = "; they follow each other as one, the end token after each" if together else ""
    return form + after


def _plain(path: Path, separator: str | None, lines: bool) -> tuple[list[Piece], Source]:
    content, source = _content(path)
    text = _decoded(content, path)
    if lines:
        return [(line.strip(), None) for line in text.splitlines()], source
    if separator is None:
        return [(text, None)], source
    *ended, rest = text.split(separator)
    size = len(separator.encode())
    return [*((piece, size) for piece in ended), (rest, 0)], source


def _table(path: Path, column: str | None) -> tuple[list[Piece], Source]:
    _, source = _content(path)
    return _texts_of(open_table(path), column, source)


def _data_set(name: str, split: str, column: str) -> tuple[list[Piece], Source]:
    datasets = require("datasets", extra="train")
    try:
        loaded = datasets.load_dataset(name, split=split)
    # Whatever goes wrong in there, from a missing name to a broken connection, is not ours.
    except Exception as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise UserError(f"{name}: neither a file nor a data set: {reason}") from error
    source = {"data set": name, "split": split, "fingerprint": loaded._fingerprint}
    return _texts_of(HubTable(loaded, f"{name} {split}"), column, source)


def _texts_of(table: Table, asked: str | None, source: Source) -> tuple[list[Piece], Source]:
    column = text_column(table, asked, "--column")
    require_column(table, column, "--column")
    texts = column_texts(table, column)
    return [(text, None) for text in texts], source | {"column": column}


def _content(path: Path) -> tuple[bytes, Source]:
    if not path.is_file():
        raise UserError(
            f"{path} is not a file; expected a text, or with --column the name of a data set"
        )
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
