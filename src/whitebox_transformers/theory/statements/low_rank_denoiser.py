"""The denoiser of a mixture of subspaces is attention of a token over subspaces."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from whitebox_transformers.crate import attention
from whitebox_transformers.theory.draws import independent_subspaces
from whitebox_transformers.theory.measurement import Case, equal
from whitebox_transformers.theory.mixture import GaussianMixture
from whitebox_transformers.theory.rounding import FLOOR, relative
from whitebox_transformers.theory.statement import Evidence, statement

SKEW = 3.0


@statement(
    number=17,
    title="Denoising a mixture of subspaces is attention over subspaces",
    claim=(
        "E[z | x] = 1/(1 + t^2) sum_k w_k U_k U_k^T x with "
        "w = softmax_k(|U_k^T x|^2 / (2 t^2 (1 + t^2))): query x, keys and values U_k U_k^T x."
    ),
    source="arXiv 2306.01129, appendix A.1, for equal weights and ranks",
)
def denoiser_is_attention(
    width: int = 16,
    components: int = 4,
    rank: int = 3,
    noise: Sequence[float] = (0.1, 0.5, 2.0),
    points: int = 64,
    seeds: Sequence[int] = (0, 1, 2),
    weights: Sequence[float] | None = None,
) -> Evidence:
    """Compare the library's attention weights on subspaces with the exact denoiser.

    Args:
        width: d.
        components: K, independent subspaces.
        rank: Their dimension.
        noise: t, one case each.
        points: Noisy points for each seed.
        seeds: One draw of mixture and points each.
        weights: pi_k of the case of unequal weights; the first is three times the others if None.
    """
    unequal = weights or [SKEW] + [1.0] * (components - 1)
    cases = []
    for kind, shares in (("equal", None), ("unequal", unequal)):
        for t in noise:
            errors = []
            for seed in seeds:
                u = independent_subspaces(width, components, rank, seed)
                mixture = GaussianMixture.low_rank(u, shares)
                x = mixture.noisy(points, t, seed + 1)
                attended = attend_to_subspaces(x, u, 1 / (2 * t**2 * (1 + t**2)))
                errors.append(relative(attended / (1 + t**2), mixture.denoise(x, t)))
            measured = equal("relative difference to the posterior mean", errors, 0.0, FLOOR)
            same = len(set(shares or [1.0])) == 1
            cases.append(Case([measured], {"weights": kind, "t": t}, same))
    worst = max(case.measured[0].value for case in cases)
    return Evidence(
        cases,
        f"Largest relative difference {worst:.2g}. MSSA attends to other tokens instead of "
        "subspaces: this equality motivates it and does not prove it.",
        condition="all subspaces have the same weight",
    )


def attend_to_subspaces(x: Tensor, bases: Tensor, scale: float) -> Tensor:
    """Attention of tokens (N, D) over subspaces: keys and values are U_k U_k^T x, (N, D)."""
    projections = torch.einsum("kdp,kep,ne->nkd", bases, bases, x)
    weights = attention.attention_weights(x[:, None, :], projections, None, scale)
    return (weights @ projections)[:, 0]
