"""What a white-box transformer optimises: coding rates, their differences, their exact gradients.

A coding rate counts the nats needed to code a set of tokens up to the precision ``eps``. The
objective (arXiv 2311.13110) is to expand the whole set, compress it within each of K subspaces,
and keep it sparse:

    maximise   R(Z) - R^c(Z | U_1..U_K) - lambda ||Z||_0

Shapes: N tokens, d width, K subspaces, P subspace width; ``...`` any leading batch axes. Tokens
are rows here and columns in the paper, so ``z`` is the paper's Z^T.

Two conventions of R^c exist and disagree even about the direction of MSSA, so results must name
theirs:

* ``definition``: `compression_rate` of raw tokens, ``eps`` squared inside as in the paper;
* ``published``: `published_compression_rate` as in the authors' plotting code.

Precision: projections are float32 or better, Gram matrices float64 (float32 on devices without),
whatever the input dtype or autocast says: identical tokens at the width of ViT-Base have condition
numbers near 1e8. Only the smaller Gram matrix is ever made. Every function is differentiable and
returns one value per leading index, in float32 or better.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .products import linear
from .rate_inputs import (
    checked_tokens,
    memberships,
    refuse_empty,
    squared_precision,
    tokens_and_bases,
)


def coding_rate(z: Tensor, eps: float = 0.1) -> Tensor:
    """R(Z) = 1/2 logdet(I + alpha Z Z^T) with alpha = d / (N eps^2).

    Args:
        z: Tokens (..., N, d).
        eps: Coding precision; squared inside.

    Returns:
        Rate in nats (...).

    Raises:
        ValueError: No tokens, no dimensions, non-finite entries, or ``eps`` not positive.
    """
    return _rate(checked_tokens(z), squared_precision(eps))


def coding_rates(z: Tensor, eps: float = 0.1) -> tuple[Tensor, Tensor]:
    """`coding_rate` of the tokens as they are and at unit length, from one Gram matrix if N < d."""
    z = checked_tokens(z)
    if z.shape[-2] >= z.shape[-1]:
        return coding_rate(z, eps), coding_rate(unit_norm(z), eps)
    side, scale = _small_side(z, squared_precision(eps))
    gram = side @ side.mT
    squares = gram.diagonal(dim1=-2, dim2=-1)
    length = squares.where(squares > 0, 1.0).sqrt()
    directions = gram / (length[..., :, None] * length[..., None, :])
    return _half_logdet(gram, scale).to(z.dtype), _half_logdet(directions, scale).to(z.dtype)


def projections_rate(w: Tensor, eps: float = 0.1) -> Tensor:
    """Sum over K of R of the projections ``w`` (..., K, N, P): R^c when they are U_k^T Z.

    ``eps``, result and errors are those of `coding_rate`.
    """
    return _rate(checked_tokens(w, axes=3), squared_precision(eps)).sum(-1)


def compression_rate(z: Tensor, u: Tensor, eps: float = 0.1) -> Tensor:
    """R^c(Z | U) = sum_k 1/2 logdet(I + gamma (U_k^T Z)(U_k^T Z)^T), gamma = P / (N eps^2).

    Args:
        z: Tokens (..., N, d).
        u: Subspace bases (K, d, P); they need not be orthonormal.
        eps: Coding precision; squared inside.

    Raises:
        ValueError: As `coding_rate`, or ``u`` does not fit ``z``.
    """
    return projections_rate(_project(*tokens_and_bases(z, u)), eps)


def published_compression_rate(w: Tensor, eps_squared: float = 0.01) -> Tensor:
    """R^c as the authors' plotting code computes it: the convention ``published``.

    Each row of each head is scaled to unit length first. A zero row stays zero, where the
    authors' code divides by zero.

    Args:
        w: Projections U_k^T LN1(Z) (..., K, N, P), e.g. a layer's ``mssa.subspaces`` output.
        eps_squared: The square of the precision; called ``eps`` in the authors' code.

    Returns:
        Rate in nats (...), at most K P / 2 * ln(1 + 1 / eps_squared).

    Raises:
        ValueError: As `coding_rate`.
    """
    return _rate(unit_norm(checked_tokens(w, axes=3)), eps_squared).sum(-1)


def rate_reduction(z: Tensor, u: Tensor, eps: float = 0.1) -> Tensor:
    """Delta R(Z | U) = R(Z) - R^c(Z | U); arguments and errors as `compression_rate`."""
    return coding_rate(z, eps) - compression_rate(z, u, eps)


def sparse_rate_reduction(
    z: Tensor, u: Tensor, eps: float = 0.1, sparsity_weight: float = 0.1, norm: str = "l0"
) -> Tensor:
    """The objective, to be maximised: R(Z) - R^c(Z | U) - lambda ||Z||.

    Args:
        z: Tokens (..., N, d).
        u: Subspace bases (K, d, P).
        eps: Coding precision; squared inside.
        sparsity_weight: lambda.
        norm: ``"l0"`` counts non-zero entries (no gradient flows through the count); ``"l1"``
            sums absolute values.

    Raises:
        ValueError: As `compression_rate`, or ``norm`` is unknown.
    """
    if norm not in ("l0", "l1"):
        raise ValueError(f"norm is {norm!r}; expected 'l0' or 'l1'")
    reduction = rate_reduction(z, u, eps)
    size = torch.linalg.vector_norm(
        z.to(reduction.dtype), ord=0 if norm == "l0" else 1, dim=(-2, -1)
    )
    return reduction - sparsity_weight * size


def supervised_compression_rate(z: Tensor, membership: Tensor, eps: float = 0.1) -> Tensor:
    """R^c(Z | Pi) = sum_k tr(Pi_k)/(2N) logdet(I + d/(tr(Pi_k) eps^2) Z Pi_k Z^T), from MCR^2.

    Unlike R^c of subspaces each group carries the weight tr(Pi_k)/N; an empty one adds nothing.

    Args:
        z: Samples or tokens (..., N, d).
        membership: Integer labels (..., N), or the diagonals of Pi_1..Pi_K (..., K, N).
        eps: Coding precision; squared inside.

    Raises:
        ValueError: As `coding_rate`, or ``membership`` does not fit ``z`` or is negative.
    """
    z = checked_tokens(z)
    tokens, width = z.shape[-2:]
    precise = z.to(_gram_dtype(z))[..., None, :, :]  # (..., 1, N, d)
    members = memberships(membership, precise)  # (..., K, N)
    count = members.sum(-1)
    scale = width / (count.where(count > 0, 1.0) * squared_precision(eps))[..., None, None]
    weighted = members[..., None] * precise
    # Pi Z Z^T is not symmetric, but a square root of Pi would have an infinite slope at 0.
    gram = weighted @ precise.mT if z.shape[-2] < z.shape[-1] else weighted.mT @ precise
    volume = 0.5 * torch.linalg.slogdet(_plus_identity(scale * gram)).logabsdet
    _refuse_unless(volume.isfinite().all(), gram.dtype)
    return (count / tokens * volume).sum(-1).to(z.dtype)


def supervised_rate_reduction(z: Tensor, membership: Tensor, eps: float = 0.1) -> Tensor:
    """The MCR^2 objective R(Z) - R^c(Z | Pi); arguments and errors as its second term."""
    return coding_rate(z, eps) - supervised_compression_rate(z, membership, eps)


def coding_rate_gradient(z: Tensor, eps: float = 0.1) -> Tensor:
    """The exact gradient of `coding_rate`: alpha (I + alpha Z Z^T)^{-1} Z, shaped as ``z``."""
    return _rate_gradient(checked_tokens(z), squared_precision(eps))


def compression_rate_gradient(z: Tensor, u: Tensor, eps: float = 0.1) -> Tensor:
    """The exact gradient of `compression_rate` with respect to ``z``, shaped as ``z``.

    gamma sum_k U_k (I + gamma (U_k^T Z)(U_k^T Z)^T)^{-1} U_k^T Z: the expression whose
    first-order expansion becomes subspace attention.
    """
    z, u = tokens_and_bases(z, u)
    per_subspace = _rate_gradient(_project(z, u), squared_precision(eps))  # (..., K, N, P)
    with torch.autocast(z.device.type, enabled=False):
        return linear(per_subspace.transpose(-2, -3).flatten(-2), u.transpose(0, 1).flatten(1))


def subspace_bases(weight: Tensor, heads: int) -> Tensor:
    """Read U_1..U_K out of the weight of a layer's projection.

    Args:
        weight: (K P, d); rows k P .. (k+1) P - 1 are U_k^T.
        heads: K.

    Returns:
        Bases (K, d, P), a view.

    Raises:
        ValueError: The rows do not divide into ``heads``.
    """
    rows, width = weight.shape
    if heads < 1 or rows % heads:
        raise ValueError(f"{rows} rows of the projection do not divide into {heads} subspaces")
    return weight.view(heads, rows // heads, width).mT


def unit_norm(z: Tensor) -> Tensor:
    """Scale every token (..., d) to unit length; a zero token stays zero, also in gradients."""
    length = torch.linalg.vector_norm(z, dim=-1, keepdim=True)
    return z / length.where(length > 0, 1.0)


def nonzero_share(z: Tensor) -> Tensor:
    """||Z||_0 / (d N): the share of entries of ``z`` (..., N, d) that are not exactly zero."""
    refuse_empty(z, 2)
    return torch.count_nonzero(z, dim=(-2, -1)) / (z.shape[-2] * z.shape[-1])


def _rate(z: Tensor, eps_squared: float) -> Tensor:
    """R of tokens (..., N, d) as they are, with d / (N eps^2)."""
    side, scale = _small_side(z, eps_squared)
    return _half_logdet(side @ side.mT, scale).to(z.dtype)


def _rate_gradient(z: Tensor, eps_squared: float) -> Tensor:
    side, scale = _small_side(z, eps_squared)
    solved = scale * torch.cholesky_solve(side, _cholesky(side @ side.mT, scale))
    return (solved if z.shape[-2] < z.shape[-1] else solved.mT).to(z.dtype)


def _small_side(z: Tensor, eps_squared: float) -> tuple[Tensor, float]:
    """The tokens with the shorter axis first, and d / (N eps^2)."""
    if not eps_squared > 0:
        raise ValueError(f"the squared precision is {eps_squared}; expected a positive number")
    tokens, width = z.shape[-2:]
    side = z if z.shape[-2] < z.shape[-1] else z.mT
    # One copy that is also contiguous: products of strided heads are several times slower.
    side = side.to(_gram_dtype(z), memory_format=torch.contiguous_format).contiguous()
    return side, width / (tokens * eps_squared)


def _half_logdet(gram: Tensor, scale: float) -> Tensor:
    """1/2 logdet(I + scale * gram)."""
    return _cholesky(gram, scale).diagonal(dim1=-2, dim2=-1).log().sum(-1)


def _cholesky(gram: Tensor, scale: float) -> Tensor:
    """Lower factor of I + scale * gram."""
    factor, failed = torch.linalg.cholesky_ex(_plus_identity(scale * gram))
    finite = factor.diagonal(dim1=-2, dim2=-1).isfinite().all()
    _refuse_unless(finite and not failed.any(), gram.dtype)
    return factor


def _refuse_unless(computed: Tensor | bool, dtype: torch.dtype) -> None:
    if not computed:
        raise ValueError(
            "the coding rate cannot be computed: the tokens hold NaN or infinite entries, "
            f"or are too large for {dtype}"
        )


def _plus_identity(matrix: Tensor) -> Tensor:
    return matrix + torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)


def _project(z: Tensor, u: Tensor) -> Tensor:
    """U_k^T z for every subspace: (..., N, d), (K, d, P) -> (..., K, N, P)."""
    with torch.autocast(z.device.type, enabled=False):
        projected = linear(z, u.mT.flatten(0, 1))
    return projected.unflatten(-1, (u.shape[0], u.shape[-1])).transpose(-2, -3)


def _gram_dtype(z: Tensor) -> torch.dtype:
    return torch.float32 if z.device.type == "mps" else torch.float64
