"""The codebooks on which denoising by compression is tried: the ideal one, and what may differ."""

from __future__ import annotations

from collections.abc import Sequence

from whitebox_transformers.errors import UserError

from .draws import Codebook, independent_subspaces, orthogonal_subspaces

FAINTEST = 0.1
CROWDED = 3.0


def codebooks(
    width: int,
    heads: int,
    head_dim: int,
    noise: float,
    seed: int,
    shares: Sequence[float] | None = None,
    scales: Sequence[float] | None = None,
) -> dict[str, Codebook]:
    """Noisy Gaussian codebooks by kind.

    ``even`` has orthogonal subspaces that fill R^d, used equally, with coefficients of variance 1;
    each of the others differs in one respect.

    Args:
        width: d of the kinds that need not fill it; larger where those need it.
        heads: Number of subspaces K, at least 2.
        head_dim: Their dimension p.
        noise: Standard deviation of the noise.
        seed: Of the bases.
        shares: Of the kind with unequal shares; the first is three times the others if None.
        scales: Of the kind with uneven coefficients; falling from 1 to 0.1 if None.

    Raises:
        UserError: Fewer than two subspaces: no token could lie in another one's.
    """
    if heads < 2:
        raise UserError(f"heads={heads}; expected at least 2, so that subspaces can be told apart")
    full = heads * head_dim
    complete = orthogonal_subspaces(full, heads, head_dim, seed)
    incomplete = orthogonal_subspaces(max(width, full + head_dim), heads, head_dim, seed)
    independent = independent_subspaces(max(width, head_dim), heads, head_dim, seed)
    falling = [FAINTEST ** (i / max(head_dim - 1, 1)) for i in range(head_dim)]
    crowded = [CROWDED] + [1.0] * (heads - 1)
    return {
        "even": Codebook(complete, noise),
        "uneven coefficients": Codebook(complete, noise, scales=scales or falling),
        "unequal shares": Codebook(complete, noise, shares=shares or crowded),
        "incomplete": Codebook(incomplete, noise),
        "independent": Codebook(independent, noise),
    }
