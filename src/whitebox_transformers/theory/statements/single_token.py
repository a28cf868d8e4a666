"""A single token: the gradient step is a gate on each subspace."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from whitebox_transformers.crate import rates
from whitebox_transformers.theory.draws import gaussian, independent_subspaces, orthogonal_subspaces
from whitebox_transformers.theory.measurement import Case, equal
from whitebox_transformers.theory.mixture import GaussianMixture
from whitebox_transformers.theory.rounding import FLOOR, relative
from whitebox_transformers.theory.statement import Evidence, statement
from whitebox_transformers.theory.tied import apply, tied_mssa

NOISE = 0.3


@statement(
    number=10,
    title="For one token the gradient step gates the subspaces",
    claim=(
        "With N = 1 and eps = sqrt(p), grad R^c = sum_k U_k U_k^T z / (1 + |U_k^T z|^2), and "
        "z - grad R^c = sum_k g_k U_k U_k^T z with gates g_k = |U_k^T z|^2 / (1 + |U_k^T z|^2)."
    ),
    source="arXiv 2306.01129, section 2.3 read for N = 1",
)
def one_token_is_gated(
    width: int = 24,
    heads: int = 4,
    head_dim: int = 6,
    tokens: int = 16,
    seeds: Sequence[int] = (0, 1, 2),
) -> Evidence:
    """Compare the library's gradient and MSSA of single tokens with the formulas.

    Args:
        width: d of the kinds of bases that do not fill it; larger where those need it.
        heads: Number of subspaces K.
        head_dim: Their dimension p.
        tokens: Single tokens tried for each seed.
        seeds: One draw of tokens and bases each.
    """
    full = heads * head_dim
    kinds: dict[str, tuple[int, Callable[..., Tensor]]] = {
        "orthogonal and complete": (full, orthogonal_subspaces),
        "orthogonal and incomplete": (max(width, full + 1), orthogonal_subspaces),
        "independent": (max(width, head_dim), independent_subspaces),
    }
    cases, cosines = [], []
    for kind, (dimensions, draw) in kinds.items():
        gradients, gates, averages = [], [], []
        for seed in seeds:
            u = draw(dimensions, heads, head_dim, seed=seed)
            z = gaussian(tokens, 1, dimensions, seed=seed + 1)  # sets of one token
            gradient = rates.compression_rate_gradient(z, u, head_dim**0.5)
            parts = torch.einsum("kdp,kep,bne->kbnd", u, u, z)
            energy = parts.square().sum(-1, keepdim=True)
            gate = (energy / (1 + energy) * parts).sum(0)
            gradients.append(relative(gradient, (parts / (1 + energy)).sum(0)))
            gates.append(relative(z - gradient, gate))
            averages.append(relative(_mssa(u, z), parts.sum(0)))
            denoised = GaussianMixture.low_rank(u).denoise(z[:, 0], NOISE)
            cosines.append(torch.cosine_similarity(gate[:, 0], denoised, -1).mean().item())
        measured = [
            equal("relative difference of the gradient", gradients, 0.0, FLOOR),
            equal("relative difference of the step to the gates", gates, 0.0, FLOOR),
            equal("relative difference of MSSA to sum_k U_k U_k^T z", averages, 0.0, FLOOR),
        ]
        cases.append(Case(measured, {"bases": kind}))
    return Evidence(
        cases,
        "The gates are independent of each other, those of the exact denoiser are a softmax over "
        f"subspaces: cosine between the two {min(cosines):.2f} to {max(cosines):.2f} "
        f"(noise {NOISE}).",
    )


def _mssa(u: Tensor, z: Tensor) -> Tensor:
    """Sets of one token (B, 1, D), each through MSSA."""
    operator = tied_mssa(u)
    return torch.stack([apply(operator, one) for one in z])
