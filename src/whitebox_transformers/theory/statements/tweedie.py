"""From the score to the denoiser."""

from __future__ import annotations

from collections.abc import Sequence

from whitebox_transformers.theory.measurement import Case, equal
from whitebox_transformers.theory.mixture import GaussianMixture
from whitebox_transformers.theory.rounding import FLOOR, relative
from whitebox_transformers.theory.statement import Evidence, statement

from .mixture_score import drawn, slope


@statement(
    number=16,
    title="Tweedie: the score denoises",
    claim="E[z | x] = x + t^2 grad log q(x) for x = z + t w with standard normal w.",
    source="arXiv 2306.01129, appendix A.1 (Tweedie's formula)",
)
def score_denoises(
    width: int = 16,
    components: int = 4,
    rank: int = 3,
    noise: Sequence[float] = (0.1, 0.5),
    points: int = 64,
    seeds: Sequence[int] = (0, 1, 2),
    mixture: GaussianMixture | None = None,
) -> Evidence:
    """Compare with the posterior mean that conditioning of Gaussians gives.

    Args:
        width: d.
        components: K.
        rank: Rank of the covariances.
        noise: t, one case each.
        points: Noisy points for each seed.
        seeds: One draw of mixture and points each.
        mixture: Tried beside those drawn, if given.
    """
    cases, gains = [], []
    for kind in ("equal", "unequal weights", "unequal ranks", *(["given"] if mixture else [])):
        for t in noise:
            errors = []
            for seed in seeds:
                chosen = mixture if kind == "given" else drawn(kind, width, components, rank, seed)
                assert chosen is not None
                x, z = chosen.noisy(points, t, seed + 1), chosen.draw(points, seed + 1)[0]
                posterior = chosen.denoise(x, t)
                errors.append(relative(x + t**2 * slope(chosen, x, t), posterior))
                gains.append(((posterior - z).square().sum() / (x - z).square().sum()).item())
            measured = equal("relative difference to the posterior mean", errors, 0.0, FLOOR)
            cases.append(Case([measured], {"mixture": kind, "t": t}))
    return Evidence(
        cases,
        f"The denoiser leaves {min(gains):.0%} to {max(gains):.0%} of the squared error.",
    )
