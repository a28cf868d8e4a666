"""Exact denoisers of noisy Gaussian mixtures.

A clean token is z ~ sum_k pi_k N(0, Sigma_k); what is seen is x = z + t w with standard normal w.
Sources: arXiv 2306.01129, appendix A.1 (score, low-rank denoiser); the general posterior mean is
textbook conditioning of Gaussians.

Legend: N points, D width, K components, P rank.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from whitebox_transformers.errors import UserError

from .draws import DTYPE, generator


@dataclass(frozen=True)
class GaussianMixture:
    """Zero-mean Gaussians with weights.

    Attributes:
        covariances: Sigma_1..Sigma_K, (K, D, D), symmetric and positive semi-definite.
        weights: pi_1..pi_K, (K,), summing to one.
    """

    covariances: Tensor
    weights: Tensor

    @classmethod
    def of(cls, covariances: Tensor, weights: Sequence[float] | None = None) -> GaussianMixture:
        """A mixture of covariances (K, D, D); equal weights if None, else scaled to sum to one.

        Raises:
            UserError: Another number of weights, or a weight that is not positive.
        """
        count = len(covariances)
        chosen = (
            torch.ones(count, dtype=DTYPE) if weights is None else torch.tensor(weights).to(DTYPE)
        )
        if chosen.shape != (count,) or not (chosen > 0).all():
            raise UserError(
                f"weights={weights}; expected {count} positive numbers, one a component"
            )
        return cls(covariances.to(DTYPE), chosen / chosen.sum())

    @classmethod
    def low_rank(cls, bases: Tensor, weights: Sequence[float] | None = None) -> GaussianMixture:
        """Sigma_k = U_k U_k^T of bases (K, D, P)."""
        return cls.of(bases @ bases.mT, weights)

    def draw(self, count: int, seed: int) -> tuple[Tensor, Tensor]:
        """Clean tokens (N, D) and their components (N,)."""
        source = generator(seed)
        labels = torch.multinomial(self.weights, count, replacement=True, generator=source)
        values, vectors = torch.linalg.eigh(self.covariances)
        roots = vectors * values.clamp_min(0).sqrt()[:, None, :]
        noise = torch.randn(count, roots.shape[-1], generator=source, dtype=DTYPE)
        return (roots[labels] @ noise[..., None])[..., 0], labels

    def noisy(self, count: int, noise: float, seed: int) -> Tensor:
        """Points x = z + t w, (N, D)."""
        clean, _ = self.draw(count, seed)
        return clean + noise * torch.randn(clean.shape, generator=generator(seed + 1), dtype=DTYPE)

    def log_density(self, x: Tensor, noise: float) -> Tensor:
        """Log q(x) up to a constant for points (N, D): the log of a sum of Gaussian densities."""
        return self._log_joint(x, noise).logsumexp(-1)

    def responsibilities(self, x: Tensor, noise: float) -> Tensor:
        """Probability that a point (N, D) came from each component, (N, K)."""
        return self._log_joint(x, noise).softmax(-1)

    def denoise(self, x: Tensor, noise: float) -> Tensor:
        """E[z | x] = sum_k w_k(x) Sigma_k (Sigma_k + t^2 I)^{-1} x for points (N, D)."""
        gain = torch.linalg.solve(self._noisy_covariances(noise), self.covariances)  # symmetric
        means = torch.einsum("kde,ne->nkd", gain.mT, x)
        return (self.responsibilities(x, noise)[..., None] * means).sum(-2)

    def published_score(self, x: Tensor, noise: float) -> Tensor:
        """Score as the paper's lemma has it, (N, D) to (N, D).

        - sum_k w_k M_k M_k^T x with M_k = (Sigma_k + t^2 I)^{-1/2} and
        w = softmax_k(-1/2 |M_k^T x|^2), in which pi_k det M_k does not appear.
        """
        solved = self._solved(x, noise)  # (N, K, D)
        weights = (-0.5 * torch.einsum("nkd,nd->nk", solved, x)).softmax(-1)
        return -(weights[..., None] * solved).sum(-2)

    def balance(self, noise: float) -> float:
        """Largest over smallest pi_k det M_k, less one; the published score assumes 0."""
        logs = self.weights.log() - 0.5 * torch.linalg.slogdet(self._noisy_covariances(noise))[1]
        return torch.expm1(logs.max() - logs.min()).item()

    def _log_joint(self, x: Tensor, noise: float) -> Tensor:
        volume = 0.5 * torch.linalg.slogdet(self._noisy_covariances(noise))[1]
        distance = torch.einsum("nkd,nd->nk", self._solved(x, noise), x)
        return self.weights.log() - volume - 0.5 * distance

    def _solved(self, x: Tensor, noise: float) -> Tensor:
        """(Sigma_k + t^2 I)^{-1} x, (N, K, D)."""
        factors = torch.linalg.cholesky(self._noisy_covariances(noise))
        solved = torch.cholesky_solve(x.mT.expand(len(factors), -1, -1), factors)
        return solved.permute(2, 0, 1)

    def _noisy_covariances(self, noise: float) -> Tensor:
        if not noise > 0:
            raise UserError(f"noise={noise}; expected a positive standard deviation")
        identity = torch.eye(self.covariances.shape[-1], dtype=DTYPE)
        return self.covariances + noise**2 * identity
