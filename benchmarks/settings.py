"""The keys of a benchmark: fields of a dataclass, given as ``KEY=VALUE``, stored as JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from whitebox_transformers.errors import UserError
from whitebox_transformers.training.strict import unknown_key


class Settings(Protocol):
    """What a benchmark measures, a frozen dataclass.

    ``choices`` lists what fields of names may hold; ``record`` names the file of the result.
    """

    __dataclass_fields__: Any
    choices: Mapping[str, tuple[str, ...]]
    device: str
    threads: int

    @property
    def record(self) -> str: ...


def changed(settings: Any, pairs: Iterable[str]) -> Any:
    """The same with some fields read from ``KEY=VALUE``.

    Raises:
        UserError: No such field, or a value that it does not take.
    """
    values = {}
    known = [field.name for field in dataclasses.fields(settings)]
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals:
            raise UserError(f"{pair!r} is no KEY=VALUE; keys: {', '.join(known)}")
        if key not in known:
            raise UserError(unknown_key(f"{key}=", key, known))
        values[key] = _parsed(key, text, getattr(settings, key), settings.choices.get(key))
    return _replaced(settings, values)


def stored(settings: Any) -> dict[str, Any]:
    """Plain values for the JSON file."""
    return {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in dataclasses.asdict(settings).items()
    }


def from_stored(settings: Any, values: Mapping[str, Any]) -> Any:
    """Settings of the same kind from what was stored; fields that did not exist keep theirs."""
    known = {field.name for field in dataclasses.fields(settings)}
    found = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in values.items()
        if key in known
    }
    return _replaced(settings, found)


def _replaced(settings: Any, values: Mapping[str, Any]) -> Any:
    try:
        return dataclasses.replace(settings, **values)
    except ValueError as error:
        raise UserError(str(error)) from error


def _parsed(key: str, text: str, default: Any, choices: tuple[str, ...] | None) -> Any:
    if isinstance(default, tuple):
        kind = type(default[0])
        return tuple(_one(key, part, kind, choices) for part in text.split(","))
    return _one(key, text, type(default), choices)


def _one(key: str, text: str, kind: type, choices: tuple[str, ...] | None) -> Any:
    if choices is not None and text not in choices:
        raise UserError(f"{key}={text} is not known; choose from {', '.join(choices)}")
    try:
        value = kind(text)
    except ValueError as error:
        raise UserError(f"{key}={text}: expected {kind.__name__}") from error
    if kind in (int, float) and value <= 0:
        raise UserError(f"{key}={text}: expected a number above 0")
    return value
