"""Token statistics self-attention (ToST, arXiv 2412.17810): bound, gradient and causal form.

The second attention operator that comes from the coding rate: instead of comparing tokens with each
other it bounds the rate by the second moments of each coordinate, at a cost linear in the tokens.

Legend: N tokens, D width, K heads (subspaces), P head width. Tokens are rows.
"""

from __future__ import annotations

import torch
from torch import Tensor


def memberships(z: Tensor, bases: Tensor, temperature: float = 1.0) -> Tensor:
    """Pi (K, N), softmax over k of |U_k^T z_j|^2 / (2 temperature), for tokens z (N, D)."""
    energies = (z @ bases).square().sum(-1)  # (K, N)
    return (energies / (2 * temperature)).softmax(0)


def variational_rate(z: Tensor, bases: Tensor, membership: Tensor, eps: float) -> Tensor:
    """R^var = 1/2 sum_k (N_k / N) sum_i f((U_k^T Z Diag(pi_k) Z^T U_k)_ii / N_k).

    f(x) = log(1 + (D / eps^2) x), N_k the sum of pi_k.

    Args:
        z: Tokens (N, D).
        bases: U_1..U_K, (K, D, P).
        membership: pi_1..pi_K, (K, N).
        eps: Precision; squared inside.

    Returns:
        One value in nats.
    """
    moments, counts = _second_moments(z, bases, membership)
    volumes = torch.log1p(z.shape[-1] / eps**2 * moments).sum(-1)
    return 0.5 * (counts / len(z) * volumes).sum()


def variational_gradient(z: Tensor, bases: Tensor, membership: Tensor, eps: float) -> Tensor:
    """Gradient of `variational_rate` with the membership held fixed, (N, D).

    (1/N) sum_k U_k D_k U_k^T Z Diag(pi_k), D_k the diagonal of f' at the second moments; TSSA is
    minus tau times this.
    """
    moments, _ = _second_moments(z, bases, membership)
    scale = z.shape[-1] / eps**2
    slopes = scale / (1 + scale * moments)  # (K, P)
    scaled = (z @ bases) * slopes[:, None, :] * membership[..., None]
    return torch.einsum("knp,kdp->nd", scaled, bases) / len(z)


def causal_token_statistics(w: Tensor, temperature: float = 1.0) -> Tensor:
    """The causal operator of the authors' code on projections w (K, N, P), same shape.

    Second moments and memberships of a token use this token and earlier ones only; memberships of
    earlier tokens are not computed anew.
    """
    squares = w.square()
    share = squares / squares.cumsum(-2).clamp_min(1e-12)
    membership = (temperature * share.sum(-1)).softmax(0)[..., None]  # (K, N, 1)
    moments = (squares * membership).cumsum(-2) / (membership.cumsum(-2) + 1e-8)
    return -(w * membership) / (1 + moments)


def _second_moments(z: Tensor, bases: Tensor, membership: Tensor) -> tuple[Tensor, Tensor]:
    """Weighted second moments of the projections (K, P), and the weights' sums (K,)."""
    counts = membership.sum(-1)
    energy = ((z @ bases).square() * membership[..., None]).sum(-2)
    return energy / counts[:, None], counts
