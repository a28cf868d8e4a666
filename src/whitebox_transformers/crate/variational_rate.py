"""The variational rate, a bound on the coding rate by second moments (ToST, arXiv 2412.17810).

Legend: N tokens, D width, K subspaces, P their dimension. Tokens are rows.

``R^c(Z | Pi) <= R^var(Z | U, Pi)``, with equality where every U_k diagonalises
``Z Diag(pi_k) Z^T``. A descent step on it, memberships held fixed, is :mod:`.tssa`.
"""

import torch
from torch import Tensor


def energy_memberships(z: Tensor, bases: Tensor, temperature: float = 1.0) -> Tensor:
    """Softmax over k of ``|U_k^T z_j|^2 / (2 temperature)``, as in the paper.

    Args:
        z: Tokens (N, D).
        bases: U_1..U_K, (K, D, P).
        temperature: eta.

    Returns:
        Pi (K, N), summing to one over the subspaces.
    """
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


def variational_rate_gradient(z: Tensor, bases: Tensor, membership: Tensor, eps: float) -> Tensor:
    """Gradient of :func:`variational_rate` with the memberships held fixed, (N, D).

    (1/N) sum_k U_k D_k U_k^T Z Diag(pi_k), D_k the diagonal of f' at the second moments. Arguments
    are those of :func:`variational_rate`.
    """
    moments, _ = _second_moments(z, bases, membership)
    scale = z.shape[-1] / eps**2
    slopes = scale / (1 + scale * moments)  # (K, P)
    scaled = (z @ bases) * slopes[:, None, :] * membership[..., None]
    return torch.einsum("knp,kdp->nd", scaled, bases) / len(z)


def _second_moments(z: Tensor, bases: Tensor, membership: Tensor) -> tuple[Tensor, Tensor]:
    """Weighted second moments of the projections (K, P), and the weights' sums (K,)."""
    counts = membership.sum(-1)
    energy = ((z @ bases).square() * membership[..., None]).sum(-2)
    return energy / counts[:, None], counts


__all__ = ["energy_memberships", "variational_rate", "variational_rate_gradient"]
