"""Token statistics attention (ToST) with every sum spelt out, one token and document at a time.

Written from the authors' formulas (arXiv 2412.17810 and its code): no batches, no running sums, no
cache. Projections w are (K, N, P), one document.
"""

from __future__ import annotations

import torch
from torch import Tensor


def bidirectional(w: Tensor, temperature: Tensor) -> tuple[Tensor, Tensor]:
    """-pi w / (1 + m), (K, N, P), and pi (K, N)."""
    heads, tokens, _ = w.shape
    lengths = w.square().sum(dim=1, keepdim=True).sqrt().clamp_min(1e-12)
    normalised = w / lengths
    score = normalised.square().sum(dim=2) * temperature[:, None]
    pi = torch.softmax(score, dim=0)
    out = []
    for k in range(heads):
        share = pi[k] / (pi[k].sum() + 1e-8)
        moment = sum(share[n] * w[k, n] ** 2 for n in range(tokens))
        attention = 1 / (1 + moment)
        out.append(torch.stack([-(w[k, n] * pi[k, n]) * attention for n in range(tokens)]))
    return torch.stack(out), pi


def causal(w: Tensor, temperature: Tensor, bias: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The same where token t sees tokens 0..t; ``bias`` is (K, N)."""
    tokens, dim = w.shape[1:]
    memberships, rows = [], []
    for t in range(tokens):
        energy = sum(w[:, j] ** 2 for j in range(t + 1)).clamp_min(1e-12)
        share = w[:, t] ** 2 / energy  # (K, P)
        score = (
            share.sum(-1) if bias is None else (share + bias[:, t, None].expand(-1, dim)).sum(-1)
        )
        memberships.append(torch.softmax(score * temperature, dim=0))  # (K,)
        count = sum(memberships) + 1e-8
        moment = sum(pi[:, None] * w[:, j] ** 2 for j, pi in enumerate(memberships))
        attention = 1 / (1 + moment / count[:, None])
        rows.append(-(w[:, t] * memberships[t][:, None]) * attention)
    return torch.stack(rows, dim=1), torch.stack(memberships, dim=1)
