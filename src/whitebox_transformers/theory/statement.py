"""What a statement is, and what comes out when it is tried.

A statement is a function: dimensions, seeds and precisions in, a :class:`Result` out. Nobody writes
a verdict down. It follows from the measured numbers: a statement is tried in one or more cases, a
case holds if every number in it meets what is claimed of it, and

* all cases hold: ``holds``;
* none does: ``does not hold``;
* some do: ``holds only if``, with the condition that sets them apart (see ``condition.py``).
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Generic, ParamSpec

import torch

from whitebox_transformers.errors import UserError

from .chart import Chart
from .condition import describe
from .measurement import Case, Measurement

P = ParamSpec("P")
# Smaller tolerances are rounding.
WORTH_SAYING = 1e-6


class Verdict(StrEnum):
    """What the measured numbers say of a statement."""

    HOLDS = "holds"
    FAILS = "does not hold"
    CONDITIONAL = "holds only if"


@dataclass(frozen=True)
class Evidence:
    """What the body of a statement measured.

    Attributes:
        cases: At least one; all with the same keys in ``at``.
        finding: One or two sentences with the measured numbers.
        condition: What sets the holding cases apart, in words. It is believed only if it separates
            the measured cases, that is if ``granted`` of every case equals whether it holds;
            otherwise the condition is read off the cases.
        chart: A picture of it, or None.
    """

    cases: Sequence[Case]
    finding: str
    condition: str = ""
    chart: Chart | None = None


@dataclass(frozen=True)
class Result:
    """A statement that was tried.

    Attributes:
        number: Place in the registry, from 1.
        name: Name of the function.
        title: The statement in a few words.
        claim: What is claimed, in one or two sentences.
        source: Where in which paper.
        settings: Arguments it was tried with.
        cases: What was measured.
        verdict: Follows from the cases.
        condition: Empty unless the verdict is ``holds only if``. Thresholds are among the values
            tried, not interpolated.
        finding: What was measured, in words.
        chart: A picture of it, or None.
    """

    number: int
    name: str
    title: str
    claim: str
    source: str
    settings: dict[str, Any]
    cases: tuple[Case, ...]
    verdict: Verdict
    condition: str
    finding: str
    chart: Chart | None

    @property
    def decisive(self) -> Measurement:
        """The number that is farthest from its claim, or nearest to missing it if all are met."""
        return max(
            (measured for case in self.cases for measured in case.measured),
            key=lambda measured: measured.severity,
        )

    @property
    def span(self) -> tuple[float, float]:
        """Smallest and largest value of the decisive quantity over the cases."""
        values = [
            measured.value
            for case in self.cases
            for measured in case.measured
            if measured.quantity == self.decisive.quantity
        ]
        return min(values), max(values)

    @property
    def value(self) -> float:
        """Measured value of the decisive number."""
        return self.decisive.value

    @property
    def expected(self) -> float:
        """What is claimed of the decisive number."""
        return self.decisive.expected

    @property
    def tolerance(self) -> float:
        """How far the decisive number may be from its claim."""
        return self.decisive.tolerance

    @property
    def measured(self) -> str:
        """The decisive quantity in one line: what was measured and what is claimed."""
        decisive, (low, high) = self.decisive, self.span
        value = f"{decisive.value:.3g}"
        if self.verdict != Verdict.HOLDS and low != high:
            value = f"{low:.3g} to {high:.3g}"
        unit = f" {decisive.unit}" if decisive.unit else ""
        claimed = f"{decisive.relation} {decisive.expected:.6g}{unit}"
        if decisive.tolerance >= WORTH_SAYING:
            claimed += f" within {decisive.tolerance:g}"
        return f"{decisive.quantity}: {value}{unit}, claimed {claimed}"

    @property
    def judgement(self) -> str:
        """Verdict and condition in one line."""
        return f"{self.verdict} {self.condition}".rstrip()

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``json.dump``; numbers to six digits, non-finite ones as text."""
        plain = asdict(self) | {"verdict": str(self.verdict), "decisive": asdict(self.decisive)}
        for case, stored in zip(self.cases, plain["cases"], strict=True):
            stored["holds"] = case.holds
        return _plain(plain)


class Statement(Generic[P]):
    """A function that tries a statement; its attributes say which one.

    Call it like the function it wraps; a single number may stand for a list of one. ``number``,
    ``title``, ``claim`` and ``source`` are those of its results, ``name`` is the function's.
    """

    def __init__(
        self, body: Callable[P, Evidence], number: int, title: str, claim: str, source: str
    ) -> None:
        self.body, self.name = body, body.__name__
        self.number, self.title, self.claim, self.source = number, title, claim, source
        functools.update_wrapper(self, body)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Result:
        settings = self._settings(*args, **kwargs)
        evidence = self.body(**settings)  # pyright: ignore[reportCallIssue]
        verdict, condition = conclude(evidence)
        return Result(
            number=self.number,
            name=self.name,
            title=self.title,
            claim=self.claim,
            source=self.source,
            settings=settings,
            cases=tuple(evidence.cases),
            verdict=verdict,
            condition=condition,
            finding=evidence.finding,
            chart=evidence.chart,
        )

    def _settings(self, *args: P.args, **kwargs: P.kwargs) -> dict[str, Any]:
        """All arguments by name; one number where several may be given stands for a list of it."""
        signature = inspect.signature(self.body)
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        for name, value in bound.arguments.items():
            several = isinstance(signature.parameters[name].default, tuple)
            if several and isinstance(value, int | float):
                bound.arguments[name] = (value,)
            elif several and len(value) == 0:
                raise UserError(f"{name} is empty; give {self.name} at least one")
        return dict(bound.arguments)


def statement(
    number: int, title: str, claim: str, source: str
) -> Callable[[Callable[P, Evidence]], Statement[P]]:
    """Turn a function that measures into a :class:`Statement`."""
    return lambda body: Statement(body, number, title, claim, source)


def conclude(evidence: Evidence) -> tuple[Verdict, str]:
    """Verdict and condition that follow from the cases.

    Raises:
        ValueError: There is no case, or the cases are told apart by different keys.
    """
    cases = evidence.cases
    if not cases or len({tuple(case.at) for case in cases}) > 1:
        raise ValueError("a statement needs at least one case, and the same keys in all of them")
    if all(case.holds for case in cases):
        return Verdict.HOLDS, ""
    if not any(case.holds for case in cases):
        return Verdict.FAILS, ""
    separates = all(case.granted == case.holds for case in cases)
    return Verdict.CONDITIONAL, (separates and evidence.condition) or describe(cases)


def _plain(value: Any) -> Any:
    """Numbers to six digits; tensors and other objects as short text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | range):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else str(value)
    if isinstance(value, torch.Tensor):
        return f"tensor of shape {tuple(value.shape)}"
    plain = value is None or isinstance(value, str | int | bool)
    return value if plain else type(value).__name__
