"""Labels of texts: values of a column as numbers of classes, or as numbers to be predicted."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from whitebox_transformers.data.text.config import TextDataConfig
from whitebox_transformers.data.text.documents import BadDocument
from whitebox_transformers.data.text.rows import Table
from whitebox_transformers.errors import UserError

USUAL_COLUMNS = ("label", "labels")
# GLUE's test files have -1 for the labels that they keep back.
MISSING = ("", "-1", "None", "nan")
MOST_CLASSES = 1000


class NoLabel(BadDocument):
    """A row that is not labelled."""


def label_column(table: Table, asked: str | None) -> str:
    """The column of labels.

    Raises:
        UserError: There is none.
    """
    for column in [asked] if asked else USUAL_COLUMNS:
        if column in table.columns:
            return column
    expected = repr(asked) if asked else "'label' or 'labels'"
    raise UserError(
        f"{table.where} has no labels: no column {expected} (data.label_column); it has: "
        f"{', '.join(table.columns)}"
    )


def class_names(data: TextDataConfig, table: Table, column: str, values: Iterable) -> list[str]:
    """The recipe's names, those stored with the data, or the labels that occur, in sorted order.

    Args:
        data: The recipe's block.
        table: A training table.
        column: Its column of labels.
        values: The labels of all training rows.

    Raises:
        UserError: There are fewer than two, or so many that they are no classes.
    """
    names = data.labels or table.class_names(column)
    if names is None:
        found = {spelled(value) for value in values}.difference(MISSING)
        if not found:
            raise UserError(f"labels are missing: no row of {table.where} has one in {column!r}")
        if fraction := next((label for label in found if _is_fraction(label)), None):
            raise UserError(
                f"{table.where}: labels such as {fraction} are no classes; set "
                "data.regression=true to predict them as numbers"
            )
        if len(found) > MOST_CLASSES:
            raise UserError(
                f"{table.where}: column {column!r} has {len(found)} different values, too many "
                "for classes; choose another with data.label_column or list them in data.labels"
            )
        numbers = all(label.lstrip("-").isdecimal() for label in found)
        names = sorted(found, key=int if numbers else None)
    if len(names) < 2:
        raise UserError(
            f"{table.where} has {len(names)} class ({', '.join(names)}); a classifier needs two"
        )
    return names


def class_number(value: Any, names: list[str], row: str) -> int:
    """A label as the number of its class; it is a name, or that number itself.

    Raises:
        BadDocument: It is missing, or neither.
    """
    label = spelled(value)
    if label in names:
        return names.index(label)
    if label in MISSING:
        raise NoLabel(row, f"there is no label, but {value!r}")
    if label.isdecimal() and int(label) < len(names):
        return int(label)
    shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    raise BadDocument(row, f"label {value!r} is none of the classes ({shown})")


def target_number(value: Any, row: str) -> float:
    """A label as a number.

    Raises:
        BadDocument: It is missing, or no finite number.
    """
    try:
        number = float(value)
    except (TypeError, ValueError):
        kind = NoLabel if spelled(value) in MISSING else BadDocument
        raise kind(row, f"label {value!r} is no number") from None
    if not math.isfinite(number):
        raise NoLabel(row, f"label {value!r} is no finite number")
    return number


def spelled(value: Any) -> str:
    """A label as people write it."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip()


def _is_fraction(label: str) -> bool:
    try:
        return not float(label).is_integer()
    except (ValueError, OverflowError):
        return False
