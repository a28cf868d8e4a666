"""One measured number beside what is claimed of it, and the case it was measured in."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Relation = Literal["=", "<=", ">="]
Setting = str | float | int
Values = float | Sequence[float]


@dataclass(frozen=True)
class Measurement:
    """A number and its claim.

    Attributes:
        quantity: What was measured.
        value: The worst over seeds and samples: farthest from the claim.
        relation: How it should stand to ``expected``.
        expected: What is claimed.
        tolerance: How far it may be beyond.
        unit: Of value, expected and tolerance; empty for a pure number.
    """

    quantity: str
    value: float
    relation: Relation
    expected: float
    tolerance: float = 0.0
    unit: str = ""

    @property
    def excess(self) -> float:
        """Distance beyond the claim, less the tolerance; at most 0 if the claim is met."""
        if math.isnan(self.value):
            return math.inf
        beyond = self.value - self.expected
        if self.relation == "=":
            beyond = abs(beyond)
        return (-beyond if self.relation == ">=" else beyond) - self.tolerance

    @property
    def severity(self) -> float:
        """Excess in units of the tolerance, or of the claim where nothing is tolerated."""
        return self.excess / (self.tolerance or abs(self.expected) or 1.0)

    @property
    def met(self) -> bool:
        """Whether the number is what is claimed, within the tolerance."""
        return self.excess <= 0


@dataclass(frozen=True)
class Case:
    """Circumstances in which a statement was tried.

    Attributes:
        measured: Numbers; the case holds if every one is met.
        at: What sets this case apart from the others.
        granted: Whether the condition proposed in words is granted here; None if none is proposed.
    """

    measured: Sequence[Measurement]
    at: Mapping[str, Setting] = field(default_factory=dict)
    granted: bool | None = None

    @property
    def holds(self) -> bool:
        """Whether every number is what is claimed."""
        return all(measurement.met for measurement in self.measured)


def equal(
    quantity: str, values: Values, expected: float, tolerance: float, unit: str = ""
) -> Measurement:
    """The value, the farthest from ``expected`` if there are several, should be ``expected``."""
    worst = _worst(values, key=lambda value: abs(value - expected))
    return Measurement(quantity, worst, "=", expected, tolerance, unit)


def at_most(
    quantity: str, values: Values, bound: float, tolerance: float = 0.0, unit: str = ""
) -> Measurement:
    """The value, the largest if there are several, should not exceed ``bound``."""
    return Measurement(quantity, _worst(values), "<=", bound, tolerance, unit)


def at_least(
    quantity: str, values: Values, bound: float, tolerance: float = 0.0, unit: str = ""
) -> Measurement:
    """The value, the smallest if there are several, should not fall below ``bound``."""
    smallest = _worst(values, key=lambda value: -value)
    return Measurement(quantity, smallest, ">=", bound, tolerance, unit)


def _worst(values: Values, key=lambda value: value) -> float:
    several = (
        [float(value) for value in values] if isinstance(values, Sequence) else [float(values)]
    )
    return max(several, key=lambda value: math.inf if math.isnan(value) else key(value))
