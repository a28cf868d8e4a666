"""The coding rate may be computed from either Gram matrix."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from whitebox_transformers.crate import rates
from whitebox_transformers.theory.draws import DTYPE, gaussian
from whitebox_transformers.theory.measurement import Case, equal
from whitebox_transformers.theory.rounding import rate_condition, rounding
from whitebox_transformers.theory.statement import Evidence, statement


@statement(
    number=1,
    title="The rate is the same from tokens x tokens and from width x width",
    claim="R(Z) = 1/2 logdet(I_N + alpha Z^T Z) = 1/2 logdet(I_d + alpha Z Z^T).",
    source="arXiv 2306.01129, definition of R; Sylvester's determinant identity",
)
def rate_from_either_gram_matrix(
    shapes: Sequence[tuple[int, int]] = ((5, 12), (12, 5), (33, 33), (1, 6), (200, 24)),
    eps: float = 0.1,
    seeds: Sequence[int] = (0, 1, 2),
) -> Evidence:
    """Compare `rates.coding_rate` with both determinants.

    Args:
        shapes: (N, d) of the token sets.
        eps: Precision of the rate.
        seeds: One draw each.
    """
    cases = []
    for tokens, width in shapes:
        differences, tolerance = [], 0.0
        for seed in seeds:
            z = gaussian(tokens, width, seed=seed)
            scale = width / (tokens * eps**2)
            rate = rates.coding_rate(z, eps)
            for gram in (z @ z.mT, z.mT @ z):
                volume = torch.logdet(torch.eye(len(gram), dtype=DTYPE) + scale * gram) / 2
                differences.append(((rate - volume).abs() / volume.abs()).item())
            tolerance = max(tolerance, rounding(rate_condition(z, scale), max(tokens, width)))
        measured = equal("relative difference", differences, 0.0, tolerance)
        cases.append(Case([measured], {"N": tokens, "d": width}))
    worst = max(case.measured[0].value for case in cases)
    return Evidence(cases, f"Largest relative difference {worst:.1e} over {len(shapes)} shapes.")
