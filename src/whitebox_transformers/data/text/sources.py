"""From a recipe's ``data:`` block to sources of documents."""

from __future__ import annotations

from collections.abc import Callable

from whitebox_transformers.data.text.class_labels import label_column
from whitebox_transformers.data.text.config import TextDataConfig
from whitebox_transformers.data.text.documents import DocumentSource
from whitebox_transformers.data.text.files import open_files, open_text_folder
from whitebox_transformers.data.text.rows import Table
from whitebox_transformers.data.text.stdlib import open_stdlib
from whitebox_transformers.data.text.tables import (
    Columns,
    RowDocuments,
    hub_tables,
    table_files,
    text_column,
)
from whitebox_transformers.errors import UserError

FILES: dict[str, Callable[[TextDataConfig], dict[str, DocumentSource]]] = {
    "stdlib": open_stdlib,
    "file": open_files,
    "folder": open_text_folder,
}
TABLES: dict[str, Callable[[TextDataConfig], dict[str, list[Table]]]] = {
    "table": table_files,
    "hub": hub_tables,
}


def open_sources(data: TextDataConfig) -> dict[str, DocumentSource]:
    """Documents by role: files, their parts, or rows.

    Raises:
        UserError: There is no such file, a damaged one, or a column that is missing ...
    """
    if data.source in FILES:
        return FILES[data.source](data)
    return dict(open_rows(data, labelled=False))


def open_rows(data: TextDataConfig, labelled: bool) -> dict[str, RowDocuments]:
    """Rows of tables by role.

    Args:
        data: The recipe's block.
        labelled: Whether pairs and labels are wanted too.

    Raises:
        UserError: As :func:`open_sources`, and the source has no rows.
    """
    if data.source not in TABLES:
        raise UserError(
            f"data.source={data.source} has no labels; classification needs rows with a label "
            "each: data.source=table or hub"
        )
    tables = TABLES[data.source](data)
    first = tables["train"][0]
    pair = data.text_pair_column if labelled else None
    label = label_column(first, data.label_column) if labelled else None
    columns = Columns(text_column(first, data.text_column), pair, label)
    return {role: RowDocuments(part, columns) for role, part in tables.items()}
