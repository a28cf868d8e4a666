"""Gradient descent on the compression rate, without any approximation."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from whitebox_transformers.crate import rates
from whitebox_transformers.theory.chart import Chart, Line
from whitebox_transformers.theory.draws import gaussian, independent_subspaces, orthogonal_subspaces
from whitebox_transformers.theory.measurement import Case, at_most
from whitebox_transformers.theory.statement import Evidence, statement

BASES = {"orthogonal": orthogonal_subspaces, "independent": independent_subspaces}


@statement(
    number=3,
    title="A step along the exact gradient lowers R^c",
    claim=(
        "Z - kappa grad R^c(Z) has a smaller compression rate, for every kappa up to "
        "1 / (gamma |[U_1..U_K]|_2^2)."
    ),
    source="arXiv 2306.01129, equation 9; the bound on kappa is the curvature of log det",
)
def exact_step_compresses(
    width: int = 24,
    heads: int = 4,
    head_dim: int = 6,
    tokens: int = 40,
    eps: float = 0.5,
    steps: int = 20,
    fractions: Sequence[float] = (0.1, 0.5, 1.0),
    seeds: Sequence[int] = (0, 1, 2),
) -> Evidence:
    """Take steps of several lengths and look at the largest change of R^c among them.

    Args:
        width: d.
        heads: Number of subspaces K; orthogonal ones are tried if they fit, else independent ones.
        head_dim: Their dimension p.
        tokens: N, drawn standard normal.
        eps: Precision of the rate.
        steps: Steps of each run.
        fractions: Step lengths in units of the largest one the claim allows.
        seeds: One draw of tokens and bases each.
    """
    kinds = ["independent"] if heads * head_dim > width else ["orthogonal", "independent"]
    cases, lines = [], []
    for kind in kinds:
        for fraction in fractions:
            changes, curve = [], []
            for seed in seeds:
                u = BASES[kind](width, heads, head_dim, seed=seed)
                z = gaussian(tokens, width, seed=seed + 1)
                gamma = head_dim / (tokens * eps**2)
                largest = 1 / (
                    gamma * torch.linalg.matrix_norm(u.transpose(0, 1).flatten(1), 2) ** 2
                )
                curve = [rates.compression_rate(z, u, eps).item()]
                for _ in range(steps):
                    z = z - fraction * largest * rates.compression_rate_gradient(z, u, eps)
                    curve.append(rates.compression_rate(z, u, eps).item())
                changes += [after - before for before, after in zip(curve, curve[1:], strict=False)]
            # Strictly below: a step that does nothing is no descent.
            bound = at_most("largest change of R^c in a step", changes, 0.0, unit="nats")
            cases.append(Case([bound], {"bases": kind, "kappa / largest": fraction}))
            lines.append(Line(f"{kind}, {fraction:g} of the largest", range(steps + 1), curve))
    return Evidence(
        cases,
        f"The smallest decrease in any of {steps} steps is "
        f"{-max(case.measured[0].value for case in cases):.2g} nats.",
        chart=Chart("Exact gradient descent", "step", "$R^c$ (nats)", lines[:6]),
    )
