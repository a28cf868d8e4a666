"""The result of measuring layers, and the sums it is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from whitebox_transformers.errors import UserError

from .measures import DEFINITIONS


@dataclass(frozen=True)
class LayerCurve:
    """One quantity by layer.

    Attributes:
        mean: Mean over samples, one entry per layer. Quantities at Z^l have one entry more, for
            the output of the last layer.
        std: Standard deviation over samples (n - 1 in the denominator; 0 for a single sample).
    """

    mean: list[float]
    std: list[float]


@dataclass(frozen=True)
class LayerReport:
    """What `measure` found.

    Attributes:
        count: Number of samples.
        curves: By measure; ``measures.DEFINITIONS`` says what each name means.
    """

    count: int
    curves: dict[str, LayerCurve]

    def to_json(self) -> dict[str, Any]:
        """What ``json.dump`` takes; every curve carries its definition."""
        return {
            "count": self.count,
            "curves": {
                key: {"definition": DEFINITIONS[key], "mean": curve.mean, "std": curve.std}
                for key, curve in self.curves.items()
            },
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> LayerReport:
        """The inverse of `to_json`.

        Raises:
            UserError: Something else is stored.
        """
        try:
            curves = {
                key: LayerCurve(list(curve["mean"]), list(curve["std"]))
                for key, curve in stored["curves"].items()
            }
            return cls(int(stored["count"]), curves)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"not a stored layer report ({error!r}); expected what LayerReport.to_json wrote"
            ) from error


class RunningMoments:
    """Mean and spread of a stream in constant memory, float64, whatever the batches are.

    Batches are merged by the update of Chan, Golub and LeVeque (1983), which does not cancel.
    """

    def __init__(self) -> None:
        self.count = 0
        self.mean = torch.zeros((), dtype=torch.float64)
        self.squares = torch.zeros((), dtype=torch.float64)

    def add(self, values: torch.Tensor) -> None:
        """Take in the values (layers, B) of one batch."""
        values = values.to("cpu", torch.float64)
        added, mean = values.shape[1], values.mean(1)
        total = self.count + added
        shift = mean - self.mean
        self.squares = self.squares + (values - mean[:, None]).square().sum(1)
        self.squares += shift.square() * (self.count * added / total)
        self.mean = self.mean + shift * (added / total)
        self.count = total

    def curve(self) -> LayerCurve:
        """What was taken in so far."""
        std = (self.squares / max(self.count - 1, 1)).sqrt()
        return LayerCurve(self.mean.tolist(), std.tolist())
