"""Coding rates written down as the formulas stand: token columns, N x N matrices, one sample.

Sources: arXiv 2311.13110, section 2 (R, R^c, sparse rate reduction); MCR^2 (arXiv 2006.08558);
``published_compression_rate`` follows the description of the authors' plotting code.
"""

from __future__ import annotations

import torch
from torch import Tensor


def coding_rate(z: Tensor, eps: float) -> Tensor:
    """1/2 logdet(I + d/(N eps^2) Z^T Z) of columns Z (d, N)."""
    width, tokens = z.shape
    identity = torch.eye(tokens, dtype=z.dtype)
    return 0.5 * torch.logdet(identity + width / (tokens * eps**2) * z.T @ z)


def compression_rate(z: Tensor, bases: list[Tensor], eps: float) -> Tensor:
    """sum_k R(U_k^T Z) of columns Z (d, N), bases U_k (d, P)."""
    total = torch.zeros((), dtype=z.dtype)
    for u in bases:
        total = total + coding_rate(u.T @ z, eps)
    return total


def published_compression_rate(heads: list[Tensor], eps_squared: float) -> Tensor:
    """sum_k R of rows (N, P) divided by their lengths."""
    total = torch.zeros((), dtype=heads[0].dtype)
    for rows in heads:
        rows = rows / rows.norm(dim=1, keepdim=True)
        total = total + coding_rate(rows.T, eps_squared**0.5)
    return total


def sparse_rate_reduction(z: Tensor, bases: list[Tensor], eps: float, weight: float, p: int):
    """R - R^c - weight ||Z||_p of columns Z, p = 0 (count) or 1 (sum of absolute values)."""
    size = (z != 0).sum().to(z.dtype) if p == 0 else z.abs().sum()
    return coding_rate(z, eps) - compression_rate(z, bases, eps) - weight * size


def supervised_compression_rate(z: Tensor, diagonals: list[Tensor], eps: float) -> Tensor:
    """sum_k tr(Pi_k)/(2N) logdet(I + d/(tr(Pi_k) eps^2) Z Pi_k Z^T) of columns Z (d, N)."""
    width, tokens = z.shape
    total = torch.zeros((), dtype=z.dtype)
    for diagonal in diagonals:
        trace = diagonal.sum()
        gram = z @ torch.diag(diagonal) @ z.T
        identity = torch.eye(width, dtype=z.dtype)
        volume = torch.logdet(identity + width / (trace * eps**2) * gram)
        total = total + trace / (2 * tokens) * volume
    return total


def coding_rate_gradient(z: Tensor, eps: float) -> Tensor:
    """alpha Z (I_N + alpha Z^T Z)^{-1} of columns Z (d, N)."""
    width, tokens = z.shape
    alpha = width / (tokens * eps**2)
    return alpha * z @ torch.linalg.inv(torch.eye(tokens, dtype=z.dtype) + alpha * z.T @ z)


def compression_rate_gradient(z: Tensor, bases: list[Tensor], eps: float) -> Tensor:
    """gamma sum_k U_k U_k^T Z (I_N + gamma (U_k^T Z)^T (U_k^T Z))^{-1} of columns Z (d, N)."""
    return sum((u @ coding_rate_gradient(u.T @ z, eps) for u in bases), torch.zeros_like(z))
