"""The picture of a statement, as data: drawn elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

MOST_POINTS = 60


@dataclass(frozen=True)
class Line:
    """Measured values over positions of the same number."""

    name: str
    x: Sequence[float]
    y: Sequence[float]

    @classmethod
    def thinned(cls, name: str, x: Sequence[float], y: Sequence[float]) -> Line:
        """A line through about `MOST_POINTS` of the values, the first and the last among them."""
        stride = max(1, len(x) // MOST_POINTS)
        kept = sorted({*range(0, len(x), stride), len(x) - 1})
        return cls(name, [x[i] for i in kept], [y[i] for i in kept])


@dataclass(frozen=True)
class Level:
    """A horizontal line that values are compared with."""

    name: str
    y: float


@dataclass(frozen=True)
class Chart:
    """Lines over a common axis, at most six; ``log_x`` and ``log_y`` for logarithmic axes."""

    title: str
    x_label: str
    y_label: str
    lines: Sequence[Line]
    levels: Sequence[Level] = field(default_factory=tuple)
    log_x: bool = False
    log_y: bool = False
