"""Does the negative gradient of the compression rate point to the nearest subspace point?"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from whitebox_transformers.crate import rates
from whitebox_transformers.theory.chart import Chart, Level, Line
from whitebox_transformers.theory.codebooks import codebooks
from whitebox_transformers.theory.measurement import Case, at_least
from whitebox_transformers.theory.statement import Evidence, statement

OUTSIDE, WHOLE = "part outside the own subspace", "whole step"


@statement(
    number=20,
    title="The negative gradient of R^c points to the nearest point of the own subspace",
    claim=(
        "For tokens of the noisy Gaussian codebook and N large, -grad R^c at z_i points from z_i "
        "to the closest point of span(U_{s_i})."
    ),
    source="arXiv 2311.13110, theorem that links compression and denoising (its constants unread)",
)
def gradient_points_to_subspace(
    width: int = 40,
    heads: int = 4,
    head_dim: int = 8,
    tokens: Sequence[int] = (64, 256, 1024, 4096),
    noise: float = 0.05,
    eps: float = 0.1,
    tolerance: float = 0.02,
    shares: Sequence[float] | None = None,
    scales: Sequence[float] | None = None,
    seeds: Sequence[int] = (0, 1, 2),
) -> Evidence:
    """Mean cosine between -grad and the way to the nearest point of the own subspace.

    Args:
        width: d of codebooks that need not fill it.
        heads: Number of subspaces K.
        head_dim: Their dimension p.
        tokens: N, one case each.
        noise: Standard deviation of the noise.
        eps: Precision of the rate.
        tolerance: How far from 1 a cosine still counts as 1.
        shares: Probability of each subspace in the codebook of unequal shares.
        scales: Deviation of each coefficient in the codebook of uneven coefficients.
        seeds: One draw of bases and tokens each.

    Raises:
        UserError: Fewer than two subspaces, or shares or scales of another length.
    """
    found: dict[tuple[str, str, int], list[float]] = {}
    ratios = []
    for seed in seeds:
        kinds = codebooks(width, heads, head_dim, noise, seed, shares, scales)
        for kind, codebook in kinds.items():
            for count in tokens:
                z, labels = codebook.draw(count, seed + 1)
                step = -rates.compression_rate_gradient(z, codebook.bases, eps)
                own, own_step = (codebook.own_part(x, labels) for x in (z, step))
                for part, moved in ((OUTSIDE, step - own_step), (WHOLE, step)):
                    cosine = torch.cosine_similarity(moved, own - z, -1).mean().item()
                    found.setdefault((part, kind, count), []).append(cosine)
                if kind == "even" and count == max(tokens):
                    ratios.append(_shrinkage(step - own_step, z - own) / _shrinkage(own_step, own))
    cases = [
        Case(
            [at_least("mean cosine", cosines, 1.0, tolerance)],
            {"compared": part, "codebook": kind, "N": count},
        )
        for (part, kind, count), cosines in found.items()
    ]
    lines = [
        Line(f"{part}, {kind}", tokens, [min(found[part, kind, count]) for count in tokens])
        for part, kind in ((OUTSIDE, "even"), (OUTSIDE, "uneven coefficients"),
                           (OUTSIDE, "incomplete"), (WHOLE, "even"))
    ]  # fmt: skip
    return Evidence(
        cases,
        f"At N = {max(tokens)} of the even codebook the gradient shrinks the part outside the own "
        f"subspace {min(ratios):.3f} to {max(ratios):.3f} times as strongly as the part inside: "
        "the whole step is a shrinkage of the token, not a step to its subspace.",
        chart=Chart(
            r"Direction of $-\nabla R^c$",
            "tokens N",
            "mean cosine with the nearest point",
            lines,
            [Level("1", 1.0)],
            log_x=True,
        ),
    )


def _shrinkage(step: torch.Tensor, part: torch.Tensor) -> float:
    """C of the best fit step = -c * part."""
    return (-(step * part).sum() / part.square().sum()).item()
