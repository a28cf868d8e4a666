"""The form of the denoiser that the paper prints, for little noise."""

from __future__ import annotations

from collections.abc import Sequence

from whitebox_transformers.theory.chart import Chart, Line
from whitebox_transformers.theory.draws import independent_subspaces
from whitebox_transformers.theory.measurement import Case, at_most
from whitebox_transformers.theory.mixture import GaussianMixture
from whitebox_transformers.theory.statement import Evidence, statement

from .low_rank_denoiser import attend_to_subspaces


@statement(
    number=18,
    title="For little noise the factors 1 + t^2 may be dropped",
    claim="E[z | x] = sum_k softmax_k(|U_k^T x|^2 / (2 t^2)) U_k U_k^T x up to terms of order t^2.",
    source="arXiv 2306.01129, appendix A.1, approximation for small noise",
)
def small_noise_denoiser(
    width: int = 16,
    components: int = 4,
    rank: int = 3,
    noise: Sequence[float] = (1.0, 0.5, 0.25, 0.125, 0.0625, 0.03125),
    points: int = 256,
    constant: float = 1.5,
    seeds: Sequence[int] = (0, 1, 2),
) -> Evidence:
    """Error of the printed form over t^2, which should stay bounded.

    Args:
        width: d.
        components: K, independent subspaces.
        rank: Their dimension.
        noise: t, one case each.
        points: Noisy points for each seed.
        constant: Largest error over t^2 that counts as of order t^2.
        seeds: One draw of mixture and points each.
    """
    cases, errors_by_noise = [], []
    for t in noise:
        errors = []
        for seed in seeds:
            u = independent_subspaces(width, components, rank, seed)
            mixture = GaussianMixture.low_rank(u)
            x = mixture.noisy(points, t, seed + 1)
            exact = mixture.denoise(x, t)
            printed = attend_to_subspaces(x, u, 1 / (2 * t**2))
            errors.append(((printed - exact).norm() / exact.norm()).item())
        measured = at_most("relative error over t^2", [e / t**2 for e in errors], constant)
        cases.append(Case([measured], {"t": t}))
        errors_by_noise.append(max(errors))
    return Evidence(
        cases,
        f"Relative error {max(errors_by_noise):.2g} at t = {max(noise):g}, "
        f"{min(errors_by_noise):.2g} at the best t.",
        chart=Chart(
            "Denoiser without the factors $1 + t^2$",
            "t",
            "relative error",
            [
                Line("measured", noise, errors_by_noise),
                Line("$t^2$", noise, [t**2 for t in noise]),
            ],
            log_x=True,
            log_y=True,
        ),
    )
