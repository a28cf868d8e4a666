"""The closed forms of both gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from whitebox_transformers.crate import rates
from whitebox_transformers.theory.draws import gaussian, independent_subspaces
from whitebox_transformers.theory.measurement import Case, equal
from whitebox_transformers.theory.rounding import rate_condition, relative, rounding
from whitebox_transformers.theory.statement import Evidence, statement


@statement(
    number=2,
    title="Closed-form gradients of R and R^c",
    claim=(
        "grad R = alpha Z (I + alpha Z^T Z)^{-1} and "
        "grad R^c = gamma sum_k U_k U_k^T Z (I + gamma (U_k^T Z)^T (U_k^T Z))^{-1}."
    ),
    source="arXiv 2306.01129, equations 9 and 10 and appendix A.2",
)
def closed_form_gradients(
    shapes: Sequence[tuple[int, int]] = ((7, 20), (50, 12), (12, 12)),
    heads: int = 3,
    head_dim: int = 4,
    eps: float = 0.1,
    seeds: Sequence[int] = (0, 1, 2),
) -> Evidence:
    """Compare the closed forms with what autograd makes of the rates.

    Args:
        shapes: (N, d) of the token sets.
        heads: Number of subspaces K, drawn independently of each other.
        head_dim: Their dimension.
        eps: Precision of the rates.
        seeds: One draw of tokens and bases each.
    """
    found: dict[str, list[float]] = {"R": [], "R^c": []}
    tolerance = 0.0
    for tokens, width in shapes:
        for seed in seeds:
            z = gaussian(tokens, width, seed=seed)
            u = independent_subspaces(width, heads, head_dim, seed=seed + 1)
            for name, exact, by_autograd in (
                ("R", rates.coding_rate_gradient(z, eps), _slope(rates.coding_rate, z, eps)),
                (
                    "R^c",
                    rates.compression_rate_gradient(z, u, eps),
                    _slope(rates.compression_rate, z, u, eps),
                ),
            ):
                found[name].append(relative(exact, by_autograd))
            condition = rate_condition(z, width / (tokens * eps**2))
            tolerance = max(tolerance, rounding(condition, width))
    cases = [
        Case([equal("relative difference to autograd", errors, 0.0, tolerance)], {"rate": name})
        for name, errors in found.items()
    ]
    worst = max(case.measured[0].value for case in cases)
    return Evidence(cases, f"Largest relative difference to autograd {worst:.1e}.")


def _slope(rate: Callable[..., Tensor], z: Tensor, *arguments: Tensor | float) -> Tensor:
    z = z.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(rate(z, *arguments).sum(), z)
    return gradient
