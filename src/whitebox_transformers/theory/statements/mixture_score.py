"""The score of a noisy Gaussian mixture."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from whitebox_transformers.theory.draws import independent_subspaces
from whitebox_transformers.theory.measurement import Case, equal
from whitebox_transformers.theory.mixture import GaussianMixture
from whitebox_transformers.theory.rounding import FLOOR, relative
from whitebox_transformers.theory.statement import Evidence, statement

SKEW = 3.0


@statement(
    number=15,
    title="Score of a noisy Gaussian mixture as a softmax of projections",
    claim=(
        "grad log q(x) = - sum_k w_k M_k M_k^T x with M_k = (Sigma_k + t^2 I)^{-1/2} and "
        "w = softmax_k(-1/2 |M_k^T x|^2)."
    ),
    source="arXiv 2306.01129, appendix A.1, there for equal pi_k det M_k",
)
def mixture_score(
    width: int = 16,
    components: int = 4,
    rank: int = 3,
    noise: Sequence[float] = (0.1, 0.5),
    points: int = 64,
    seeds: Sequence[int] = (0, 1, 2),
    mixture: GaussianMixture | None = None,
) -> Evidence:
    """Compare the formula with autograd on the log-density.

    Args:
        width: d.
        components: K; low-rank covariances U_k U_k^T.
        rank: Rank of every covariance, except the first one's in the case of unequal ranks.
        noise: t, one case each.
        points: Noisy points for each seed.
        seeds: One draw of mixture and points each.
        mixture: Tried beside those drawn, if given.
    """
    cases = []
    for kind in ("equal", "unequal weights", "unequal ranks", *(["given"] if mixture else [])):
        for t in noise:
            errors, imbalance = [], 0.0
            for seed in seeds:
                chosen = mixture if kind == "given" else drawn(kind, width, components, rank, seed)
                assert chosen is not None
                x = chosen.noisy(points, t, seed + 1)
                errors.append(relative(chosen.published_score(x, t), slope(chosen, x, t)))
                imbalance = max(imbalance, chosen.balance(t))
            measured = equal("relative difference to autograd", errors, 0.0, FLOOR)
            cases.append(Case([measured], {"mixture": kind, "t": t}, imbalance < FLOOR))
    worst = max(case.measured[0].value for case in cases)
    return Evidence(
        cases,
        f"Without equal pi_k det M_k the formula is off by up to {worst:.2g}; adding "
        "log(pi_k det M_k) to the logits makes it exact.",
        condition="pi_k det M_k is the same for all k",
    )


def drawn(kind: str, width: int, components: int, rank: int, seed: int) -> GaussianMixture:
    """A low-rank mixture: ``equal``, ``unequal weights`` or ``unequal ranks``."""
    bases = independent_subspaces(width, components, rank, seed)
    if kind == "unequal weights":
        return GaussianMixture.low_rank(bases, [SKEW] + [1.0] * (components - 1))
    if kind == "unequal ranks":
        covariances = bases @ bases.mT
        covariances[0] = torch.eye(width).to(bases)
        return GaussianMixture.of(covariances)
    return GaussianMixture.low_rank(bases)


def slope(mixture: GaussianMixture, x: Tensor, noise: float) -> Tensor:
    """Gradient of the log-density at points (N, D), by autograd."""
    x = x.clone().requires_grad_()
    (score,) = torch.autograd.grad(mixture.log_density(x, noise).sum(), x)
    return score
