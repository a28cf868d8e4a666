"""Rows of tables as documents."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

from whitebox_transformers.data.hub import load_splits
from whitebox_transformers.data.location import expand
from whitebox_transformers.data.seeding import permutation
from whitebox_transformers.data.splits import files_by_split, find_splits
from whitebox_transformers.data.text.config import TextDataConfig
from whitebox_transformers.data.text.delimited import DelimitedFile
from whitebox_transformers.data.text.documents import BadDocument, Document
from whitebox_transformers.data.text.files import named_files
from whitebox_transformers.data.text.json_tables import JsonLines, open_json
from whitebox_transformers.data.text.rows import Row, Table
from whitebox_transformers.data.text.stored_rows import HubTable, ParquetTable
from whitebox_transformers.errors import UserError

DELIMITED = (".csv", ".tsv")
FORMATS: dict[str, Callable[[Path], Table]] = {
    ".jsonl": JsonLines,
    ".ndjson": JsonLines,
    ".json": open_json,
    ".parquet": ParquetTable,
}
ENDINGS = (*DELIMITED, *FORMATS)
USUAL_TEXT_COLUMNS = ("text", "sentence")
# Where ``surrogateescape`` puts bytes that are no UTF-8.
ESCAPED = range(0xDC80, 0xDD00)


class Columns(NamedTuple):
    """Which columns make a document."""

    text: str
    pair: str | None = None
    label: str | None = None


class RowDocuments:
    """The rows of tables, one document each; in another order the tables are permuted.

    Args:
        tables: With equal columns.
        columns: Those of the documents.

    Raises:
        UserError: A table lacks one of them.
    """

    def __init__(self, tables: Sequence[Table], columns: Columns) -> None:
        self.tables, self.columns = tables, columns
        for table in tables:
            for role, column in columns._asdict().items():
                if column is not None:
                    key = "text_pair" if role == "pair" else role
                    require_column(table, column, f"data.{key}_column")

    def documents(self, seed: int | None) -> Iterator[Document]:
        """All rows; one that cannot be read is a document with a fault."""
        count = len(self.tables)
        order = range(count) if seed is None else permutation(count, "tables", seed).tolist()
        asked = [column for column in self.columns if column is not None]
        for table in (self.tables[place] for place in order):
            for row in table.rows(asked, seed):
                yield self._document(row, asked)

    def _document(self, row: Row, asked: list[str]) -> Document:
        if row.fault is not None:
            return Document(row.name, row.name, row.fault)
        values: dict[str | None, Any] = dict(zip(asked, row.values, strict=True))
        text, pair, label = (values.get(column) for column in self.columns)
        key = blake2b(repr((text, pair)).encode("utf-8", "replace"), digest_size=16).hexdigest()
        content = text_of(text, self.columns.text, row.name)
        second = self.columns.pair and text_of(pair, self.columns.pair, row.name)
        return Document(row.name, key, content, pair=second, label=label)


def text_of(value: Any, column: str, name: str) -> str | BadDocument:
    """A value as a text, or why it is none."""
    if value is None:
        return BadDocument(name, f"there is no text under {column!r}")
    if not isinstance(value, str):
        return BadDocument(name, f"{column!r} holds a {type(value).__name__}; a text is expected")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        code = ord(value[error.start])
        if code in ESCAPED:
            return BadDocument(
                name, f"not UTF-8: {column!r} has byte {code - 0xDC00:#04x} at {error.start}"
            )
    return value


def hub_tables(data: TextDataConfig) -> dict[str, list[Table]]:
    """Splits of a data set by role."""
    return {role: [HubTable(*split)] for role, split in load_splits(data, data.streaming).items()}


def table_files(data: TextDataConfig) -> dict[str, list[Table]]:
    """Table files by role: those of a folder by their names, others as the recipe says."""
    asked = {"train": data.path, "validation": data.validation_path, "test": data.test_path}
    files: dict[str, list[Path]] = {}
    for role, path in asked.items():
        key = "data.path" if role == "train" else f"data.{role}_path"
        if path is None:
            continue
        if role == "train" and isinstance(path, str) and Path(expand(path)).is_dir():
            files |= _folder(Path(expand(path)), data)
        else:
            mend = "name its files, e.g. FOLDER/*.parquet"
            files[role] = named_files(path, key, mend)[0]
    return {
        role: [open_table(path, data.columns, data.quoted) for path in paths]
        for role, paths in files.items()
    }


def _folder(root: Path, data: TextDataConfig) -> dict[str, list[Path]]:
    files: dict[str, list[Path]] = {}
    # Beside other tables, .json files describe them.
    for endings in ([ending for ending in ENDINGS if ending != ".json"], [".json"]):
        for ending in endings if not files else ():
            for split, paths in files_by_split(root, ending).items():
                files.setdefault(split, []).extend(paths)
    if not files:
        raise UserError(f"data.path={data.path}: {root} holds no {', '.join(ENDINGS)} file")
    return {role: files[split] for role, split in find_splits(files, data).items()}


def open_table(
    path: Path, columns: Sequence[str] | None = None, quoted: bool | None = None
) -> Table:
    """A table by the ending of its file.

    Args:
        path: The file.
        columns: Names of the columns of a .csv or .tsv; None: its first line tells them.
        quoted: Whether double quotes enclose its values; None: in .csv, not in .tsv.

    Raises:
        UserError: It is damaged, or has another ending.
    """
    ending = path.suffix.lower()
    if ending in DELIMITED:
        return DelimitedFile(path, columns, quoted)
    if ending not in FORMATS:
        raise UserError(f"{path} is no table: its name should end in {', '.join(ENDINGS)}")
    return FORMATS[ending](path)


def require_column(table: Table, column: str, key: str) -> None:
    """Make sure that a column is there; ``key`` says who asked for it.

    Raises:
        UserError: It is not.
    """
    if column not in table.columns:
        raise UserError(
            f"{table.where} has no column {column!r} ({key}); it has: {', '.join(table.columns)}"
        )


def column_texts(table: Table, column: str) -> Iterator[str]:
    """All texts of a column in order; where there is nothing, there is no text.

    Raises:
        UserError: A row cannot be read, or holds something else.
    """
    for name, values, fault in table.rows([column], None):
        text = fault or (values[0] is not None and text_of(values[0], column, name))
        if isinstance(text, BadDocument):
            raise UserError(f"{text}; mend or remove it")
        if isinstance(text, str):
            yield text


def text_column(table: Table, asked: str | None, key: str = "data.text_column") -> str:
    """The column of texts.

    Args:
        table: Any.
        asked: The column that is asked for, if one is.
        key: Where to ask for one.

    Raises:
        UserError: The recipe names none, and it is not clear which.
    """
    if asked:
        return asked
    usual = [column for column in USUAL_TEXT_COLUMNS if column in table.columns]
    candidates = usual or (table.columns if len(table.columns) == 1 else [])
    if not candidates:
        raise UserError(
            f"{table.where}: which column holds the texts? name it with {key}; it has: "
            f"{', '.join(table.columns)}"
        )
    return candidates[0]
