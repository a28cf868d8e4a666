"""What cannot be used: named, counted, and judged against ``data.on_bad`` and ``data.max_bad``."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Protocol

from whitebox_transformers.errors import UserError

logger = logging.getLogger(__name__)

NAMED = 5
FEWEST_JUDGED = 1_000
"""Below this many read in passing, the share of faults says little: it is taken of this number."""


class Fault(Exception):
    """Something that cannot be used; says which and why."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(name, reason)
        self.name = name
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"


class Tolerance(Protocol):
    """The keys of a ``data:`` block that say what is tolerated."""

    @property
    def on_bad(self) -> str: ...

    @property
    def max_bad(self) -> float: ...


def judge(bad: Sequence[Fault], total: int, data: Tolerance, unit: str) -> None:
    """Stop, or warn, if there are faults.

    Args:
        bad: What cannot be used.
        total: How many there are, usable ones included.
        data: What is tolerated.
        unit: What they are, in the plural.

    Raises:
        UserError: There are some and ``data.on_bad`` is ``error``, or more than ``data.max_bad``.
    """
    if not bad:
        return
    found = f"{len(bad)} of {total} {unit} cannot be used: {name_some(bad)}"
    if data.on_bad == "error":
        raise UserError(
            f"{found}; mend or remove them, or leave them out with data.on_bad=skip "
            f"(up to the share data.max_bad={data.max_bad:g})"
        )
    if len(bad) > data.max_bad * total:
        raise UserError(
            f"{found}; their share {len(bad) / total:.2g} is above data.max_bad={data.max_bad:g}; "
            f"mend them or raise data.max_bad"
        )
    logger.warning("%s; they are left out", found)


def judge_passing(
    broken: int, met: int, data: Tolerance, unit: str, last: Fault | None = None
) -> None:
    """Stop if too much of what passes by is broken.

    Args:
        broken: How many were.
        met: Of how many.
        data: What is tolerated; streams leave out what ``data.max_bad`` allows in any case.
        unit: What they are, in the plural.
        last: The last fault.

    Raises:
        UserError: Their share is above ``data.max_bad``.
    """
    if broken <= data.max_bad * met:
        return
    example = f", the last one {last}" if last else ""
    raise UserError(
        f"{broken} of {met} streamed {unit} are broken{example}; that is above "
        f"data.max_bad={data.max_bad:g}; mend them or raise data.max_bad"
    )


def name_some(bad: Sequence[Fault]) -> str:
    """The first handful, and how many more."""
    more = f"; and {len(bad) - NAMED} more" if len(bad) > NAMED else ""
    return "; ".join(str(fault) for fault in bad[:NAMED]) + more
