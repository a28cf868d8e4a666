"""Token statistics: what a head does to its tokens by their second moments alone.

Legend: B batch, N tokens, K heads (subspaces), P head width.

Token statistics attention (ToST, arXiv 2412.17810) bounds the coding rate by the second moments of
each coordinate of ``w_k = Z U_k``; :mod:`.variational_rate` is the bound. Its gradient shrinks
every coordinate of a token by what the tokens of the same subspace have there,
``-pi_k w_k / (1 + m_k)``, with memberships pi, a softmax over the heads, and ``m_k`` the mean of
``w_k^2`` weighted by them. No token is compared with another: time and memory grow with N, not N^2.

The formulas are those of the authors' code. They differ from the paper's gradient in three things:
the step size and ``D / eps^2`` are left to learned weights; memberships come of coordinates
normalised over the sequence, with a learned temperature per head; and in the causal form a token's
membership is that of its own time, never computed anew when later tokens arrive.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F

# As in the authors' code: least energies of a coordinate, and what keeps a mean of nothing finite.
LEAST_NORM = 1e-12
LEAST_ENERGY = 1e-12
LEAST_COUNT = 1e-8


class Compressed(NamedTuple):
    """What the heads make of their tokens."""

    heads: torch.Tensor
    """(B, K, N, P), to be added to the tokens."""
    membership: torch.Tensor
    """pi, (B, K, N), summing to one over the heads."""


class Sums(NamedTuple):
    """Sums over the tokens up to each, (B, K, N, ...): all that a later token needs of them."""

    energy: torch.Tensor
    """Of w^2, (B, K, N, P)."""
    moment: torch.Tensor
    """Of pi w^2, (B, K, N, P)."""
    count: torch.Tensor
    """Of pi, (B, K, N, 1)."""

    def packed(self) -> torch.Tensor:
        """One tensor (B, K, N, 2 P + 1), as a cache holds it."""
        return torch.cat(self, dim=-1)


def unpacked(packed: torch.Tensor) -> Sums:
    """The inverse of :meth:`Sums.packed`."""
    head_dim = packed.shape[-1] // 2
    return Sums(*packed.split([head_dim, head_dim, 1], dim=-1))


def memberships(
    share: torch.Tensor, temperature: torch.Tensor, bias: torch.Tensor | None = None
) -> torch.Tensor:
    """Softmax over heads of ``temperature_k * sum_p (share_kp + bias_k)``.

    Args:
        share: Each token's share of the energy of its coordinate, (B, K, N, P).
        temperature: (K,).
        bias: (B or 1, K, N), or ``None`` for zero.

    Returns:
        (B, K, N).
    """
    score = share.sum(-1)
    if bias is not None:
        score = score + share.shape[-1] * bias
    return (temperature[:, None] * score).softmax(1)


def bidirectional(
    query: torch.Tensor,
    w: torch.Tensor,
    temperature: torch.Tensor,
    real: torch.Tensor | None = None,
) -> Compressed:
    """``-pi w / (1 + m)``, with m over all tokens of the sequence.

    Args:
        query: Tokens the step is for, (B, K, N', P); ``w`` itself, or some of its tokens.
        w: Tokens whose moments count, (B, K, N, P), float32 or better.
        temperature: (K,).
        real: (B, N), False for padding; ``None`` where all count.
    """
    squares = w.square()
    counted = squares if real is None else squares * real[:, None, :, None]
    energy = counted.sum(-2, keepdim=True).clamp_min(LEAST_NORM**2)
    pi = memberships(squares / energy, temperature)
    weight = (pi if real is None else pi * real[:, None]).unsqueeze(-2)  # (B, K, 1, N)
    moment = weight @ squares / (weight.sum(-1, keepdim=True) + LEAST_COUNT)
    if query is not w:
        pi = memberships(query.square() / energy, temperature)
    return Compressed(-query * pi.unsqueeze(-1) / (1 + moment), pi)


def causal(
    w: torch.Tensor,
    temperature: torch.Tensor,
    bias: torch.Tensor | None = None,
    real: torch.Tensor | None = None,
    start: torch.Tensor | None = None,
    past: Sums | None = None,
) -> tuple[Compressed, Sums]:
    """``-pi_t w_t / (1 + m_t)``, with m_t over the tokens up to t.

    Args:
        w: (B, K, N, P), float32 or better.
        temperature: (K,).
        bias: As for :func:`memberships`.
        real: (B, N), False for padding; ``None`` where all count.
        start: Place of the first token of each token's document, (B, N); ``None`` where every row
            is one document. Not together with ``past``.
        past: Sums after the tokens before these, (B, K, 1, ...).

    Returns:
        What the heads make of the tokens, and the sums after each of them.
    """
    squares = w.square()
    if real is not None:
        squares = squares * real[:, None, :, None]
    energy = _running(squares, start, past and past.energy)
    pi = memberships(squares / energy.clamp_min(LEAST_ENERGY), temperature, bias)
    weight = (pi if real is None else pi * real[:, None]).unsqueeze(-1)
    count = _running(weight, start, past and past.count)
    moment = _running(weight * squares, start, past and past.moment)
    heads = -w * pi.unsqueeze(-1) / (1 + moment / (count + LEAST_COUNT))
    return Compressed(heads, pi), Sums(energy, moment, count)


def _running(
    x: torch.Tensor, start: torch.Tensor | None, past: torch.Tensor | None
) -> torch.Tensor:
    """Sums over the tokens up to each, and over ``past``; within documents where they begin anew.

    Shape: (B, K, N, P), and (B, K, 1, P) for ``past``.
    """
    if start is None:
        sums = x.cumsum(-2)
        return sums if past is None else sums + past
    # The sum before a document is taken from the sum in it: apart by far, so in double precision.
    wide = x.dtype if x.device.type == "mps" else torch.float64
    sums = x.cumsum(-2, dtype=wide)
    before = F.pad(sums, (0, 0, 1, 0))[:, :, :-1]
    index = start[:, None, :, None].expand(len(x), x.shape[1], -1, x.shape[-1])
    return (sums - before.gather(-2, index)).to(x.dtype)


__all__ = ["Compressed", "Sums", "bidirectional", "causal", "memberships", "unpacked"]
