"""What a coding rate may be taken of: tokens, bases and memberships, checked before any product.

Shapes as in :mod:`.rates`. Every function raises ``ValueError`` that names the shape, type or value
it was given and what was expected.
"""

from __future__ import annotations

import torch
from torch import Tensor


def squared_precision(eps: float) -> float:
    """eps^2 of a positive precision."""
    if not eps > 0:
        raise ValueError(f"eps is {eps}; expected a positive precision")
    return eps**2


def checked_tokens(z: Tensor, axes: int = 2) -> Tensor:
    """``z`` in float32 or better."""
    refuse_empty(z, axes)
    if not z.is_floating_point():
        raise ValueError(f"the dtype is {z.dtype}; expected real floating-point tokens")
    return z.to(torch.promote_types(z.dtype, torch.float32))


def refuse_empty(z: Tensor, axes: int) -> None:
    """Refuse a tensor whose last ``axes`` axes are not there, or hold nothing."""
    if z.dim() < axes or 0 in z.shape[-axes:]:
        expected = "(..., N, d)" if axes == 2 else "(..., K, N, P)"
        raise ValueError(f"the shape is {tuple(z.shape)}; expected {expected}, no axis empty")


def tokens_and_bases(z: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """Tokens (..., N, d) and bases (K, d, P) that fit, in one type, float32 or better."""
    z = checked_tokens(z)
    if u.dim() != 3 or u.shape[1] != z.shape[-1] or 0 in u.shape:
        raise ValueError(
            f"the bases have shape {tuple(u.shape)}; expected (K, d, P) with d = {z.shape[-1]}"
        )
    z = z.to(torch.promote_types(z.dtype, u.dtype))
    return z, u.to(z.dtype)


def memberships(membership: Tensor, z: Tensor) -> Tensor:
    """Diagonals of Pi_1..Pi_K (..., K, N) from labels (..., N) or from weights."""
    if membership.dim() == 0 or membership.shape[-1] != z.shape[-2]:
        raise ValueError(
            f"membership has shape {tuple(membership.shape)}; expected labels (..., N) or "
            f"weights (..., K, N) with N = {z.shape[-2]}"
        )
    if not (membership >= 0).all():
        raise ValueError(
            "membership has negative or NaN entries; expected labels or weights from 0"
        )
    if not membership.is_floating_point():
        groups = int(membership.max()) + 1 if membership.numel() else 1  # an empty batch has none
        membership = torch.nn.functional.one_hot(membership.long(), groups).mT
    elif membership.dim() < 2:
        raise ValueError("membership weights have one axis; expected (..., K, N)")
    return membership.to(z.dtype)
