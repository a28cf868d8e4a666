"""Many small denoising steps lead from noise to the data."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from whitebox_transformers.theory.chart import Chart, Line
from whitebox_transformers.theory.draws import gaussian, independent_subspaces
from whitebox_transformers.theory.measurement import Case, at_most, equal
from whitebox_transformers.theory.mixture import GaussianMixture
from whitebox_transformers.theory.rounding import FLOOR, relative
from whitebox_transformers.theory.statement import Evidence, statement

from .mixture_score import slope

Denoiser = Callable[[Tensor, float], Tensor]
SUBSPACES = "subspaces"


@statement(
    number=19,
    title="Iterated denoising ends on the data",
    claim=(
        "x_{l-1} = (1 - 1/l) x_l + (1/l) E[z | x_l] with noise t_l = T l / L leads from noise to "
        "the support of the data."
    ),
    source=(
        "denoising as in arXiv 2311.13110, section 3, in the discretisation of the authors' book, "
        "whose two-point example has the mean tanh(-x / t^2)"
    ),
)
def iterated_denoising_reaches_data(
    width: int = 16,
    components: int = 4,
    rank: int = 3,
    largest_noise: float = 5.0,
    steps: Sequence[int] = (10, 100, 400),
    points: int = 256,
    tolerance: float = 0.02,
    seeds: Sequence[int] = (0, 1, 2),
) -> Evidence:
    """Run it on two points, with either sign of their mean, and on a mixture of subspaces.

    Args:
        width: d of the mixture.
        components: K of the mixture, independent subspaces.
        rank: Their dimension.
        largest_noise: T.
        steps: L, one case each.
        points: Started for each seed.
        tolerance: Relative distance from the support that counts as zero.
        seeds: One draw of mixture and points each.
    """
    ends: dict[tuple[str, int], list[float]] = {}
    errors: dict[str, list[float]] = {}
    lines = []
    for seed in seeds:
        problems = _problems(width, components, rank, largest_noise, points, seed)
        for name, problem in problems.items():
            posterior = problem.posterior(problem.start, 1.0)
            error = relative(problem.denoise(problem.start, 1.0), posterior)
            errors.setdefault(name, []).append(error)
            for count in steps:
                curve = problem.distances(largest_noise, count)
                ends.setdefault((name, count), []).append(curve[-1])
                if seed == seeds[0] and name == SUBSPACES:
                    shares = [(step + 1) / count for step in range(count)]
                    lines.append(Line.thinned(f"L = {count}", shares, curve))
    cases = [
        Case(
            [
                equal("relative difference of the denoiser to E[z | x]", errors[name], 0.0, FLOOR),
                at_most("relative distance from the data", distances, 0.0, tolerance),
            ],
            {"data": name, "L": count},
        )
        for (name, count), distances in ends.items()
    ]
    found = "; ".join(
        f"{case.at['data']}, L = {case.at['L']}: {case.measured[1].value:.2g}" for case in cases
    )
    return Evidence(
        cases,
        f"Relative distance from the data at the end: {found}. The two-point mean with a minus is "
        "not the posterior mean.",
        chart=Chart(
            "Iterated denoising of a mixture of subspaces",
            "share of the steps taken",
            "relative distance from the data",
            lines[:6],
        ),
    )


@dataclass(frozen=True)
class _Problem:
    """Noisy points, a denoiser, the exact posterior mean, and the distance from the data."""

    start: Tensor
    denoise: Denoiser
    posterior: Denoiser
    distance: Callable[[Tensor], float]

    def distances(self, largest_noise: float, steps: int) -> list[float]:
        """Distance from the data after every step."""
        x, found = self.start, []
        for level in range(steps, 0, -1):
            x = x + (self.denoise(x, largest_noise * level / steps) - x) / level
            found.append(self.distance(x))
        return found


def _problems(
    width: int, components: int, rank: int, largest_noise: float, points: int, seed: int
) -> dict[str, _Problem]:
    bases = independent_subspaces(width, components, rank, seed)
    mixture = GaussianMixture.low_rank(bases)
    signs = torch.sign(gaussian(points, 1, seed=seed + 1))
    signs = signs + largest_noise * gaussian(points, 1, seed=seed + 2)
    return {
        "two points, tanh(x / t^2)": _two_points(signs, +1),
        "two points, tanh(-x / t^2)": _two_points(signs, -1),
        SUBSPACES: _Problem(
            mixture.noisy(points, largest_noise, seed + 1),
            mixture.denoise,
            lambda x, t: x + t**2 * slope(mixture, x, t),
            lambda x: _distance_from_subspaces(x, bases),
        ),
    }


def _two_points(start: Tensor, sign: int) -> _Problem:
    """Z = -1 or 1 with equal chance; the denoiser with the sign as the book prints it, or not."""
    return _Problem(
        start,
        lambda x, t: torch.tanh(sign * x / t**2),
        lambda x, t: 2 * torch.sigmoid(2 * x / t**2) - 1,  # Bayes: odds exp(2 x / t^2)
        lambda x: (x.abs() - 1).square().mean().sqrt().item(),
    )


def _distance_from_subspaces(x: Tensor, bases: Tensor) -> float:
    """Norm outside the nearest subspace over the norm, over all points."""
    inside = (x @ bases).square().sum(-1).max(0).values.sum()
    return math.sqrt(max(1 - (inside / x.square().sum()).item(), 0.0))
