"""What the statements are tried on: bases, tokens and dictionaries, each a function of a seed.

Legend: N tokens, D width, K heads (subspaces), P head width. Tokens are rows, float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from whitebox_transformers.errors import UserError

DTYPE = torch.float64


def generator(seed: int) -> torch.Generator:
    """A source of random numbers of its own."""
    return torch.Generator().manual_seed(seed)


def gaussian(*shape: int, seed: int) -> Tensor:
    """Independent standard normal entries."""
    return torch.randn(*shape, generator=generator(seed), dtype=DTYPE)


def orthogonal_matrix(width: int, seed: int) -> Tensor:
    """A random orthogonal matrix (D, D)."""
    return torch.linalg.qr(gaussian(width, width, seed=seed)).Q


def orthogonal_subspaces(width: int, heads: int, head_dim: int, seed: int) -> Tensor:
    """Orthonormal bases (K, D, P) of mutually orthogonal subspaces.

    Raises:
        UserError: They do not fit into the width.
    """
    if heads * head_dim > width:
        raise UserError(
            f"heads={heads} times head_dim={head_dim} exceeds width={width}: mutually orthogonal "
            "subspaces need heads * head_dim <= width"
        )
    columns = orthogonal_matrix(width, seed)[:, : heads * head_dim]
    return columns.T.reshape(heads, head_dim, width).mT.contiguous()


def independent_subspaces(width: int, heads: int, head_dim: int, seed: int) -> Tensor:
    """Orthonormal bases (K, D, P), each drawn without regard to the others.

    Raises:
        UserError: A subspace is wider than the tokens.
    """
    if head_dim > width:
        raise UserError(f"head_dim={head_dim} exceeds width={width}; expected at most the width")
    return torch.linalg.qr(gaussian(heads, width, head_dim, seed=seed)).Q


def clustered(tokens: int, width: int, clusters: int, spread: float, seed: int) -> Tensor:
    """Tokens (N, D) around Gaussian centres, ``spread`` being their deviation from them."""
    source = generator(seed)
    centres = torch.randn(clusters, width, generator=source, dtype=DTYPE)
    noise = torch.randn(tokens, width, generator=source, dtype=DTYPE)
    return centres[torch.arange(tokens) % clusters] + spread * noise


@dataclass(frozen=True)
class Codebook:
    """The noisy Gaussian codebook: z = U_s a + noise * w with Gaussian a and w.

    Attributes:
        bases: U_1..U_K, (K, D, P).
        noise: Standard deviation of every coordinate of the noise.
        shares: Probability of each subspace, (K,); None for equal ones.
        scales: Standard deviation of each coefficient a, (P,); None for 1.
    """

    bases: Tensor
    noise: float
    shares: Sequence[float] | None = None
    scales: Sequence[float] | None = None

    def draw(self, tokens: int, seed: int) -> tuple[Tensor, Tensor]:
        """Tokens (N, D) and the index of the subspace of each, (N,).

        Raises:
            UserError: Shares or scales of another length than the bases have.
        """
        heads, width, head_dim = self.bases.shape
        source = generator(seed)
        shares = _of_length("shares", self.shares, heads)
        labels = torch.multinomial(shares, tokens, replacement=True, generator=source)
        coefficients = torch.randn(tokens, head_dim, generator=source, dtype=DTYPE)
        coefficients = coefficients * _of_length("scales", self.scales, head_dim)
        noise = torch.randn(tokens, width, generator=source, dtype=DTYPE)
        clean = torch.einsum("np,ndp->nd", coefficients, self.bases[labels])
        return clean + self.noise * noise, labels

    def own_part(self, z: Tensor, labels: Tensor) -> Tensor:
        """Projection of every token (N, D) on its own subspace."""
        own = self.bases[labels]
        return (own @ (own.mT @ z[..., None]))[..., 0]

    def signal_to_noise(self, z: Tensor, labels: Tensor) -> float:
        """Norm of all parts in the own subspace over the norm of all parts outside it."""
        own = self.own_part(z, labels)
        return (own.norm() / (z - own).norm()).item()


def _of_length(name: str, values: Sequence[float] | None, length: int) -> Tensor:
    if values is None:
        return torch.ones(length, dtype=DTYPE)
    if len(values) != length:
        raise UserError(f"{name} has {len(values)} entries; expected {length}, one of each")
    return torch.tensor(values, dtype=DTYPE)
