"""The expansion that turns the gradient of the compression rate into attention."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from whitebox_transformers.crate import rates
from whitebox_transformers.theory.chart import Chart, Line
from whitebox_transformers.theory.draws import gaussian
from whitebox_transformers.theory.measurement import Case, at_most
from whitebox_transformers.theory.rounding import FLOOR, relative
from whitebox_transformers.theory.statement import Evidence, statement

UNIT, SHORT = "of length 1", "of length eps / 10"


@statement(
    number=6,
    title="The Neumann series of the gradient converges",
    claim=(
        "(I + gamma G_k)^{-1} = I - gamma G_k + (gamma G_k)^2 - ..., of which the derivation of "
        "attention keeps the first two terms; G_k = (U_k^T Z)^T (U_k^T Z)."
    ),
    source="arXiv 2306.01129, equations 10 and 11 and appendix A.2",
)
def neumann_series_converges(
    heads: int = 4,
    head_dim: int = 6,
    tokens: int = 40,
    eps: Sequence[float] = (0.1, 0.5, 0.99),
    terms: int = 24,
    seeds: Sequence[int] = (0, 1, 2),
) -> Evidence:
    """Sum the series and compare with the exact gradient in every head.

    Args:
        heads: Number of heads K.
        head_dim: Their dimension p.
        tokens: N; their projections are Gaussian directions, of length 1 and of a tenth of eps.
        eps: Precisions, one case each.
        terms: Length of the longest partial sum.
        seeds: One draw each.
    """
    cases, lines, notes = [], [], []
    for length in (UNIT, SHORT):
        for precision in eps:
            gamma = head_dim / (tokens * precision**2)
            errors, reach = [], []
            for seed in seeds:
                w = rates.unit_norm(gaussian(heads, tokens, head_dim, seed=seed))
                w = w * (1.0 if length == UNIT else 0.1 * precision)
                errors.append(_errors(w, gamma, precision, terms))
                reach.append(gamma * torch.linalg.matrix_norm(w, 2).max().item() ** 2)
            growth = [curve[-1] / max(curve[1], FLOOR) for curve in errors]
            measured = [at_most(f"error of {terms} terms over error of two", growth, 1.0)]
            at = {"projections": length, "eps": precision}
            cases.append(Case(measured, at, max(reach) < 1))
            if length == UNIT or precision == eps[0]:  # the others are the same series
                lines.append(
                    Line(
                        rf"$\gamma\lambda_{{\max}}$ = {reach[0]:.2g}",
                        range(1, terms + 1),
                        errors[0],
                    )
                )
            notes.append(
                f"{max(curve[1] for curve in errors):.2g} at gamma lambda_max = {max(reach):.2g}"
            )
    return Evidence(
        cases,
        f"Relative error of the first-order expansion: {', '.join(notes)}. Unit length means "
        "tr G_k = N, hence gamma lambda_max >= 1 / eps^2 for p <= N: in the regime of the "
        "published figures the series diverges.",
        condition="gamma lambda_max(G_k) < 1",
        chart=Chart(
            "Partial sums of the series",
            "terms",
            "relative error of the gradient",
            lines[:6],
            log_y=True,
        ),
    )


def _errors(w: Tensor, gamma: float, eps: float, terms: int) -> list[float]:
    """Relative error of the gradient of R(w), w (K, N, P), after 1 to ``terms`` terms."""
    exact = rates.coding_rate_gradient(w, eps)
    term = gamma * w
    total, errors = torch.zeros_like(w), []
    for _ in range(terms):
        total = total + term
        errors.append(relative(total, exact))
        term = -gamma * term @ (w.mT @ w)
    return errors
