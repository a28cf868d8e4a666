"""The gradient from which token statistics self-attention is made."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from whitebox_transformers.crate.variational_rate import (
    energy_memberships,
    variational_rate,
    variational_rate_gradient,
)
from whitebox_transformers.theory.draws import gaussian, independent_subspaces
from whitebox_transformers.theory.measurement import Case, equal
from whitebox_transformers.theory.rounding import FLOOR, relative
from whitebox_transformers.theory.statement import Evidence, statement

FIXED, MOVING = "held fixed", "softmax of the tokens"


@statement(
    number=26,
    title="TSSA is the negative gradient of the variational rate",
    claim=(
        "The gradient of R^var is 1/N sum_k U_k D_k U_k^T Z Diag(pi_k), D_k the diagonal of "
        "f'((U_k^T Z)^2 pi_k / <pi_k, 1>), f(x) = log(1 + d x / eps^2)."
    ),
    source="arXiv 2412.17810 (token statistics transformer)",
)
def token_statistics_gradient(
    width: int = 24,
    heads: int = 4,
    head_dim: int = 6,
    tokens: int = 40,
    eps: float = 0.5,
    temperature: float = 1.0,
    seeds: Sequence[int] = (0, 1, 2),
) -> Evidence:
    """Compare with autograd, memberships held fixed and moving with the tokens.

    Args:
        width: d.
        heads: Number of subspaces K, drawn independently of each other.
        head_dim: Their dimension p.
        tokens: N, drawn standard normal.
        eps: Precision of the rate.
        temperature: eta of the membership softmax.
        seeds: One draw of tokens and bases each.
    """
    errors: dict[str, list[float]] = {FIXED: [], MOVING: []}
    for seed in seeds:
        u = independent_subspaces(width, heads, head_dim, seed)
        z = gaussian(tokens, width, seed=seed + 1).requires_grad_()
        moving = energy_memberships(z, u, temperature)
        closed = variational_rate_gradient(z.detach(), u, moving.detach(), eps)
        for name, membership in ((FIXED, moving.detach()), (MOVING, moving)):
            rate = variational_rate(z, u, membership, eps)
            (slope,) = torch.autograd.grad(rate, z, retain_graph=True)
            errors[name].append(relative(closed, slope))
    cases = [
        Case(
            [equal("relative difference to autograd", values, 0.0, FLOOR)],
            {"memberships": name},
            name == FIXED or heads == 1,
        )
        for name, values in errors.items()
    ]
    return Evidence(
        cases,
        "The operator ignores that the memberships move with the tokens; with them the gradient "
        f"differs by up to {max(errors[MOVING]):.2g} of its largest entry.",
        condition="memberships are held fixed",
    )
