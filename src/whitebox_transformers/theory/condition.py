"""The condition that sets the cases in which a statement holds apart from the others."""

from __future__ import annotations

from collections.abc import Sequence

from .measurement import Case, Setting

OR = "; or "


def describe(cases: Sequence[Case]) -> str:
    """Words for the set of holding cases, exact on the cases given.

    Keys of ``Case.at`` that make no difference are left out. Values that are numbers become a
    threshold where they can, e.g. ``N >= 1024``: one of the values tried, not interpolated.

    Args:
        cases: Some that hold and some that do not, with the same keys.
    """
    return _describe(cases, _relevant(cases)) or "no condition tells the cases apart"


def _relevant(cases: Sequence[Case]) -> list[str]:
    """Keys without which cases that hold would be confused with cases that do not."""
    keys = list(cases[0].at)
    for key in list(keys):
        others = [other for other in keys if other != key]
        groups: dict[tuple[Setting, ...], set[bool]] = {}
        for case in cases:
            groups.setdefault(tuple(case.at[other] for other in others), set()).add(case.holds)
        if all(len(outcomes) == 1 for outcomes in groups.values()):
            keys = others
    return keys


def _describe(cases: Sequence[Case], keys: Sequence[str]) -> str | None:
    """Empty if all hold, None if none does."""
    if all(case.holds for case in cases):
        return ""
    if not keys or not any(case.holds for case in cases):
        return None
    key, *rest = keys
    tried = list(dict.fromkeys(case.at[key] for case in cases))
    holding: dict[str, list[Setting]] = {}
    for value in tried:
        text = _describe([case for case in cases if case.at[key] == value], rest)
        if text is not None:
            holding.setdefault(text, []).append(value)
    parts = []
    for text, values in holding.items():
        here = "" if len(values) == len(tried) else _among(key, values, tried)
        inner = f"({text})" if OR in text and here else text
        parts.append(" and ".join(part for part in (here, inner) if part))
    return OR.join(parts) if parts else None


def _among(key: str, values: Sequence[Setting], tried: Sequence[Setting]) -> str:
    """One value, a threshold, or a list."""
    if all(isinstance(value, int | float) for value in tried):
        ordered = sorted(tried, key=float)
        if set(values) == set(ordered[-len(values) :]):
            return f"{key} >= {_short(min(values, key=float))}"
        if set(values) == set(ordered[: len(values)]):
            return f"{key} <= {_short(max(values, key=float))}"
    return f"{key} = {' or '.join(_short(value) for value in values)}"


def _short(value: Setting) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
