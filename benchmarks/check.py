"""Whether ratios still hold: what was measured now beside what was recorded last.

Seconds are about the machine and are never compared. A ratio is worse if it lies on the wrong side
of the recorded one by more than the tolerance, as a share of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

TOLERANCE = 0.1


@dataclass(frozen=True)
class Comparison:
    """One ratio, then and now."""

    mode: str
    what: str
    recorded: float
    measured: float
    better: str

    @property
    def change(self) -> float:
        """How much better it is, as a share of the recorded ratio; negative if worse."""
        change = self.measured / self.recorded - 1
        return change if self.better == "higher" else -change

    def worse(self, tolerance: float) -> bool:
        """Whether it is worse by more than the tolerance."""
        return self.change < -tolerance


def compare(
    recorded: Iterable[dict[str, Any]], measured: Iterable[dict[str, Any]]
) -> list[Comparison]:
    """All ratios that both have, in the order of the measured ones."""
    before = {(row.get("mode"), row.get("what")): row for row in recorded if "better" in row}
    found = []
    for row in measured:
        then = before.get((row.get("mode"), row.get("what")))
        if "better" in row and then is not None and _ratio(then):
            found.append(
                Comparison(row["mode"], row["what"], _ratio(then), _ratio(row), row["better"])
            )
    return found


def _ratio(row: dict[str, Any]) -> float:
    """The ratio that drift of the machine touches least: the median of rounds' own, if there is."""
    return float(row.get("paired median", row["median"]))
