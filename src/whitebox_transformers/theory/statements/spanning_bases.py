"""The assumption that the bases together reproduce the tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from whitebox_transformers.theory.draws import gaussian, independent_subspaces, orthogonal_subspaces
from whitebox_transformers.theory.measurement import Case, at_most
from whitebox_transformers.theory.statement import Evidence, statement


@statement(
    number=7,
    title="The projections of all heads add up to the token",
    claim="sum_k U_k U_k^T Z = Z: the zeroth-order term of the gradient is a shrinkage.",
    source="arXiv 2306.01129, appendix A.2 (assumed for incoherent bases that span the data)",
)
def bases_reproduce_tokens(
    width: int = 24,
    heads: int = 4,
    head_dim: int = 6,
    tokens: int = 40,
    tolerance: float = 0.05,
    seeds: Sequence[int] = (0, 1, 2),
) -> Evidence:
    """Add the projections up for bases of three kinds.

    Args:
        width: d of the kinds that do not fill it; larger where those need it.
        heads: Number of subspaces K.
        head_dim: Their dimension p.
        tokens: N, drawn standard normal.
        tolerance: Relative difference that still counts as equal.
        seeds: One draw of tokens and bases each.
    """
    # The narrowest width that all orthogonal subspaces fill, whatever was asked for.
    full, wide = heads * head_dim, heads * head_dim + max(1, head_dim)
    kinds: dict[str, tuple[int, Callable[..., Tensor]]] = {
        "orthogonal and complete": (full, orthogonal_subspaces),
        "orthogonal and incomplete": (max(width, wide), orthogonal_subspaces),
        "independent": (max(width, head_dim), independent_subspaces),
    }
    cases = []
    for kind, (dimensions, draw) in kinds.items():
        differences = []
        for seed in seeds:
            u = draw(dimensions, heads, head_dim, seed=seed)
            z = gaussian(tokens, dimensions, seed=seed + 1)
            sum_of_projections = torch.einsum("kdp,kep,ne->nd", u, u, z)
            differences.append(((sum_of_projections - z).norm() / z.norm()).item())
        measured = at_most("relative difference", differences, 0.0, tolerance)
        cases.append(Case([measured], {"bases": kind}))
    found = "; ".join(f"{c.at['bases']}: {c.measured[0].value:.2g}" for c in cases)
    return Evidence(cases, f"Relative difference: {found}.")
