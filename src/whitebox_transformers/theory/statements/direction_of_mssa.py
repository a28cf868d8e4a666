"""Which way MSSA moves the compression rate, in every sign and convention."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from whitebox_transformers.crate import rates
from whitebox_transformers.theory.chart import Chart, Line
from whitebox_transformers.theory.draws import Codebook, clustered, gaussian, orthogonal_subspaces
from whitebox_transformers.theory.measurement import Case, at_most
from whitebox_transformers.theory.statement import Evidence, statement
from whitebox_transformers.theory.tied import apply, tied_mssa

CLUSTERS = 5
CLUSTER_SPREAD = 0.3
CODEBOOK_NOISE = 0.3


@statement(
    number=8,
    title="A step along MSSA lowers R^c",
    claim=(
        "Z + MSSA(Z) is a descent step on the compression rate R^c, MSSA being that of the "
        "derivation, with output matrix [U_1, ..., U_K]."
    ),
    source="arXiv 2306.01129, equations 11 and 12; doubted in arXiv 2411.17182 (ascent)",
)
def mssa_lowers_compression_rate(
    width: int = 48,
    heads: int = 6,
    head_dim: int = 8,
    tokens: int = 100,
    eps: float = 0.1,
    scale: float | None = None,
    seeds: Sequence[int] = (0, 1, 2),
) -> Evidence:
    """Change of R^c over one step: signs, conventions, normalisations, kinds of tokens.

    Args:
        width: d.
        heads: Number of orthogonal subspaces K.
        head_dim: Their dimension p.
        tokens: N, after a LayerNorm without scale and shift, and at unit length.
        eps: Precision; the published convention gets its square.
        scale: Factor on the scores of the softmax, 1 in the derivation, p^-1/2 if None.
        seeds: One draw of tokens and bases each.

    Raises:
        UserError: K p exceeds the width.
    """
    changes: dict[tuple[str, ...], list[float]] = {}
    cosines, curves = [], {}
    for seed in seeds:
        u = orthogonal_subspaces(width, heads, head_dim, seed=seed)
        for (kind, length), z in _tokens(u, tokens, seed).items():
            step = apply(tied_mssa(u, scale), z)
            gradient = rates.compression_rate_gradient(z, u, eps)
            cosines.append(torch.cosine_similarity(gradient.flatten(), step.flatten(), 0).item())
            steps = {"Z + MSSA": z + step, "(Z + MSSA) / 2": (z + step) / 2, "Z - MSSA": z - step}
            before = _rates(z, u, eps)
            for name, moved in steps.items():
                for rate, value in _rates(moved, u, eps).items():
                    change = value / before[rate] - 1
                    changes.setdefault((name, rate, kind, length), []).append(change)
            if seed == seeds[0] and (kind, length) == ("clusters", "LayerNorm"):
                curves = {c: _rates(z + c * step, u, eps) for c in (i / 10 - 1 for i in range(21))}
    factors = ("step", "rate", "tokens", "length")
    cases = [
        Case([at_most("relative change of R^c", values, 0.0)], dict(zip(factors, key, strict=True)))
        for key, values in changes.items()
    ]
    return Evidence(
        cases,
        f"Cosine between MSSA and +grad R^c (definition): {min(cosines):.2f} to "
        f"{max(cosines):.2f}; positive means that adding MSSA is ascent.",
        chart=Chart(
            "$R^c$ of Z + c MSSA(Z), tokens in clusters",
            "c",
            "$R^c$ over $R^c$ of Z",
            [
                Line(rate, list(curves), [at[rate] / curves[0.0][rate] for at in curves.values()])
                for rate in ("definition", "published")
            ],
        ),
    )


def _rates(z: Tensor, u: Tensor, eps: float) -> dict[str, float]:
    """Both conventions, of tokens (N, D) and bases (K, D, P)."""
    return {
        "definition": rates.compression_rate(z, u, eps).item(),
        "published": rates.published_compression_rate(z @ u, eps**2).item(),
    }


def _tokens(u: Tensor, count: int, seed: int) -> dict[tuple[str, str], Tensor]:
    """Three kinds of tokens (N, D), each after LayerNorm and at unit length."""
    width = u.shape[1]
    drawn = {
        "Gaussian": gaussian(count, width, seed=seed + 1),
        "subspaces": Codebook(u, CODEBOOK_NOISE).draw(count, seed + 2)[0],
        "clusters": clustered(count, width, CLUSTERS, CLUSTER_SPREAD, seed + 3),
    }
    normed = {kind: torch.nn.functional.layer_norm(z, (width,)) for kind, z in drawn.items()}
    return {(kind, "LayerNorm"): z for kind, z in normed.items()} | {
        (kind, "one"): rates.unit_norm(z) for kind, z in drawn.items()
    }
