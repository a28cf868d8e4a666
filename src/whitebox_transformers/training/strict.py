"""Strict reading of nested dataclasses: every key known, every value of the declared type."""

from __future__ import annotations

import copy
import dataclasses
import difflib
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml

from whitebox_transformers.errors import UserError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")


def build(kind: type[T], values: Mapping[str, Any], where: str = "") -> T:
    """Make a dataclass from plain values, as read from YAML.

    A field that would be a word of Python has an underscore after its name, which its key has not.

    Args:
        kind: A dataclass; its fields may be dataclasses, lists, dicts, literals and unions.
        values: Value of each key; missing keys take the field's default.
        where: Dotted path of this block, used in messages.

    Raises:
        UserError: A key is unknown (the nearest is suggested), missing, or of a wrong type.
    """
    hints, fields = get_type_hints(kind), {key_of(f): f for f in dataclasses.fields(kind)}
    former = {f.metadata["formerly"]: key for key, f in fields.items() if "formerly" in f.metadata}
    for key in values:
        if key in former:
            now = _join(where, former[key])
            raise UserError(f"{_join(where, key)} is now called {now}; rename it")
        if key not in fields:
            raise UserError(unknown_key(_join(where, str(key)), str(key), list(fields)))
    for key, field in fields.items():
        required = field.default is field.default_factory is dataclasses.MISSING
        if required and key not in values:
            raise UserError(f"{_join(where, key)} is missing; add it to the recipe")
    converted = {
        fields[key].name: _convert(hints[fields[key].name], value, _join(where, key))
        for key, value in values.items()
    }
    return kind(**converted)


def plain(block: DataclassInstance) -> dict[str, Any]:
    """Plain nested values by key; :func:`build` reads them back."""
    return {
        key_of(field): _plain(getattr(block, field.name)) for field in dataclasses.fields(block)
    }


def key_of(field: dataclasses.Field) -> str:
    """How a recipe spells a field."""
    return field.name.removesuffix("_")


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return plain(value)
    return copy.deepcopy(value)


def unknown_key(path: str, key: str, known: Mapping[str, Any] | list[str]) -> str:
    """Message for an unknown key at ``path``, with the nearest known one."""
    near = difflib.get_close_matches(key, list(known), n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(sorted(known))}"
    return f"{path} is not a known key; {hint}"


def apply_overrides(values: dict[str, Any], overrides: list[str]) -> dict[str, Any]:
    """Lay ``a.b=value`` over nested values; the value is read as YAML.

    Raises:
        UserError: An override has no ``=`` or goes through something that is not a block.
    """
    result = _copy(values)
    for override in overrides:
        path, equals, text = override.partition("=")
        if not equals or not path:
            raise UserError(
                f"{override!r} is not an override; write key=value, e.g. train.epochs=3"
            )
        *blocks, key = path.split(".")
        target = result
        for name in blocks:
            if target.get(name) is None:
                target[name] = {}
            target = target[name]
            if not isinstance(target, dict):
                raise UserError(f"{override!r}: {name!r} is a value, not a block of keys")
        target[key] = _read(text, override)
    return result


def _read(text: str, override: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"{override!r}: {text!r} is not valid YAML; quote it") from error


def _copy(value: Any) -> Any:
    return {key: _copy(item) for key, item in value.items()} if isinstance(value, dict) else value


def _convert(hint: Any, value: Any, where: str) -> Any:
    """Return ``value`` as ``hint`` demands it, or raise."""
    choices = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    if value is None and NoneType in choices:
        return None
    for choice in choices:
        is_block = isinstance(choice, type) and dataclasses.is_dataclass(choice)
        if is_block and isinstance(value, Mapping):
            return build(choice, value, where)
    for choice in choices:
        found, converted = _match(choice, value, where)
        if found:
            return converted
    raise UserError(f"{where}={value!r} has the wrong type; expected {_spell(hint)}")


def _match(choice: Any, value: Any, where: str) -> tuple[bool, Any]:
    origin = get_origin(choice)
    if origin is Literal:
        if value not in get_args(choice):
            names = ", ".join(str(option) for option in get_args(choice))
            raise UserError(f"{where}={value!r} is not known; choose one of: {names}")
        return True, value
    if origin is list and isinstance(value, list):
        (item,) = get_args(choice)
        return True, [_convert(item, entry, f"{where}[{i}]") for i, entry in enumerate(value)]
    if (origin or choice) is dict and isinstance(value, dict):
        return True, value
    if choice is float:
        return _as_float(value)
    if choice is str and isinstance(value, int | float) and not isinstance(value, bool):
        return True, str(value)  # name=2024 on the command line is text that looks like a number
    is_plain = choice in (int, str) and isinstance(value, choice) and not isinstance(value, bool)
    return is_plain or (choice is bool and isinstance(value, bool)), value


def _as_float(value: Any) -> tuple[bool, Any]:
    """Accept numbers, and the spelling ``1e-3`` that YAML 1.1 takes for text."""
    if isinstance(value, bool):
        return False, value
    try:
        return (True, float(value)) if isinstance(value, int | float | str) else (False, value)
    except ValueError:
        return False, value


def _spell(hint: Any) -> str:
    if get_origin(hint) in (Union, UnionType):
        return " or ".join(_spell(choice) for choice in get_args(hint))
    if hint is NoneType:
        return "null"
    return str(hint) if get_origin(hint) else getattr(hint, "__name__", str(hint))


def _join(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key
