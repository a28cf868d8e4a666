"""Bounds of the compression rate as the published figures compute it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from whitebox_transformers.crate import rates
from whitebox_transformers.theory.chart import Chart, Level, Line
from whitebox_transformers.theory.draws import DTYPE, gaussian
from whitebox_transformers.theory.measurement import Case, at_least, at_most, equal
from whitebox_transformers.theory.rounding import rounding
from whitebox_transformers.theory.statement import Evidence, statement

NARROWEST = 1e-3


@statement(
    number=4,
    title="Bounds of the published rate",
    claim=(
        "With rows of unit length R^c lies between K/2 ln(1 + p / eps^2), reached by identical "
        "tokens, and K r/2 ln(1 + p / (r eps^2)) with r = min(N, p), reached by a tight frame; for "
        "N >= p that is K p/2 ln(1 + 1 / eps^2)."
    ),
    source="authors' plotting code (coding_rate.py); the bounds follow from the trace",
)
def published_rate_bounds(
    heads: int = 6,
    head_dim: int = 8,
    tokens: int = 50,
    eps_squared: float = 0.01,
    seeds: Sequence[int] = (0, 1, 2),
) -> Evidence:
    """Try random rows, identical rows and tight frames.

    Args:
        heads: K.
        head_dim: p.
        tokens: N.
        eps_squared: The square of the precision; called ``eps`` in the authors' code.
        seeds: One draw of the random rows each.
    """
    least = heads / 2 * math.log1p(head_dim / eps_squared)
    rank = min(tokens, head_dim)
    most = heads * rank / 2 * math.log1p(head_dim / (rank * eps_squared))
    slack = rounding(1 + head_dim / eps_squared, head_dim) * most

    def rate(w: Tensor) -> float:
        return rates.published_compression_rate(w, eps_squared).item()

    spreads = [NARROWEST * 10 ** (i / 4) for i in range(21)]
    between = [[_spread_rows(heads, tokens, head_dim, s, seed) for s in spreads] for seed in seeds]
    curves = [[rate(rows) for rows in several] for several in between]
    random = [value for curve in curves for value in curve]
    same = gaussian(heads, 1, head_dim, seed=seeds[0]).expand(-1, tokens, -1)
    frame = tight_frame(tokens, head_dim).expand(heads, -1, -1)
    cases = [
        Case(
            [
                at_least("smallest rate", random, least, slack, "nats"),
                at_most("largest rate", random, most, slack, "nats"),
            ],
            {"rows": "random"},
        ),
        Case([equal("rate", rate(same), least, slack, "nats")], {"rows": "identical"}),
        Case([equal("rate", rate(frame), most, slack, "nats")], {"rows": "tight frame"}),
    ]
    return Evidence(
        cases,
        f"Random rows reach {min(random):.4g} to {max(random):.4g} nats, the bounds are "
        f"{least:.4g} and {most:.4g}.",
        chart=Chart(
            "Rows around a common direction",
            "spread of the rows around it",
            "published $R^c$ (nats)",
            [Line("measured", spreads, curves[0])],
            [Level("identical rows", least), Level("tight frame", most)],
            log_x=True,
        ),
    )


def tight_frame(tokens: int, width: int) -> Tensor:
    """Unit rows (N, P) with equal singular values: orthonormal ones, or a real harmonic frame."""
    if tokens <= width:
        return torch.eye(tokens, width, dtype=DTYPE)
    angle = 2 * math.pi * torch.arange(tokens, dtype=DTYPE)[:, None] / tokens
    turns = angle * torch.arange(1, width // 2 + 1, dtype=DTYPE)
    columns = [torch.cos(turns), torch.sin(turns)]
    if width % 2:
        columns.append(torch.full((tokens, 1), math.sqrt(0.5), dtype=DTYPE))
    return torch.cat(columns, 1) * math.sqrt(2 / width)


def _spread_rows(heads: int, tokens: int, width: int, spread: float, seed: int) -> Tensor:
    centre = gaussian(heads, 1, width, seed=seed)
    return centre + spread * gaussian(heads, tokens, width, seed=seed + 1)
