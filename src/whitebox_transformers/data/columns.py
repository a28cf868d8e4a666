"""Which columns of a table hold the images, the class numbers and the class names."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from whitebox_transformers.data.config import DataConfig
from whitebox_transformers.errors import UserError

if TYPE_CHECKING:
    import pyarrow

LABEL_COLUMNS = ("label", "labels", "fine_label")

UNLABELLED = "image"
"""The one class of images without classes."""


def image_column(schema: pyarrow.Schema, data: DataConfig, where: str) -> str:
    """The column of encoded images: binary, or a struct with a ``bytes`` field.

    Raises:
        UserError: It is not there, or there are several and the recipe names none.
    """
    candidates = [field.name for field in schema if _holds_images(field.type)]
    return _choose("image", data.image_column, candidates, schema, where)


def label_column(schema: pyarrow.Schema, data: DataConfig, where: str) -> str | None:
    """The column of integer class numbers; ``None`` if the images have no classes.

    Raises:
        UserError: It is not there, or there are several and the recipe names none.
    """
    import pyarrow.types as types

    if not data.labelled:
        return None
    integers = [field.name for field in schema if types.is_integer(field.type)]
    usual = [name for name in LABEL_COLUMNS if name in integers][:1]
    declared = [name for name in integers if class_names(schema, name)]
    return _choose("label", data.label_column, usual or declared or integers, schema, where,
                   allowed=integers)  # fmt: skip


def class_names(schema: pyarrow.Schema, column: str | None) -> list[str] | None:
    """Names that the ``datasets`` library stored with a ClassLabel column, if it did."""
    if column is None:
        return [UNLABELLED]
    metadata: dict[bytes, bytes] = schema.metadata or {}
    try:
        features: dict[str, Any] = json.loads(metadata[b"huggingface"])["info"]["features"]
        return features[column]["names"]
    except (KeyError, TypeError, ValueError):
        return None


def _holds_images(type_: pyarrow.DataType) -> bool:
    import pyarrow.types as types

    if types.is_struct(type_):
        return type_.get_field_index("bytes") >= 0
    return types.is_binary(type_) or types.is_large_binary(type_)


def _choose(
    kind: str,
    asked: str | None,
    candidates: list[str],
    schema: pyarrow.Schema,
    where: str,
    allowed: list[str] | None = None,
) -> str:
    columns = ", ".join(f"{field.name} ({field.type})" for field in schema)
    if asked is not None:
        if asked not in (allowed or candidates):
            raise UserError(
                f"data.{kind}_column={asked} is no {kind} column of {where}; it has: {columns}"
            )
        return asked
    if len(candidates) != 1:
        found = "no" if not candidates else "more than one"
        raise UserError(
            f"{where} has {found} {kind} column; name it with data.{kind}_column; it has: {columns}"
        )
    return candidates[0]
