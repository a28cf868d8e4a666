"""A causal language model with every option spelt out, one document and one query at a time.

Written from the formulas: no masks, no batches, no cache. A token attends to a list of tokens; a
window is a sum over a list of neighbours; a rotation is a product of complex numbers. The published
models alone, in the authors' own layout, are in ``authors_language``.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from tests.oracles import token_statistics
from tests.oracles.operators import ista, ista_from_zero
from torch import Tensor


def next_token_logits(
    p: dict[str, Tensor],
    ids: Tensor,
    *,
    heads: int,
    depth: int,
    theta: float | None = None,
    attend_self: bool = True,
    lags: Sequence[int] = (),
    steps: int = 2,
    residual: bool = False,
    gain: float = 1.0,
    eta: float = 0.1,
    lam: float = 0.1,
) -> Tensor:
    """Scores (N, V) after each token of one document.

    Args:
        p: ``dict(model.named_parameters())`` of a CrateGPTForCausalLM; what a layer is made of is
            told from the names it has.
        ids: (N,).
        heads: Subspaces K.
        depth: Layers L.
        theta: Base of the rotation, ``None`` where positions are not rotary.
        attend_self: Whether a token is among those it attends to.
        lags: For each head, how far before a token its key is taken; none lags by default.
        steps: Proximal steps of an overcomplete dictionary.
        residual: Whether an overcomplete block adds to its input.
        gain: Factor on the compression step.
        eta: Step size.
        lam: Threshold.
    """
    words = p["crate.embeddings.word_embeddings.weight"]
    z = words[ids]
    if "crate.embeddings.position_embeddings.weight" in p:
        z = z + p["crate.embeddings.position_embeddings.weight"][: len(ids)]
    for index in range(depth):
        layer = f"crate.stack.layers.{index}"
        y = _norm(p, f"{layer}.compress.norm", z)
        if f"{layer}.compress.window.weight" in p:
            y = widened(y, p[f"{layer}.compress.window.weight"])
        name = f"{layer}.compress.mssa"
        z = z + gain * _compression(p, name, y, heads, theta, attend_self, lags)
        z = _sparsification(p, f"{layer}.sparsify", z, eta, lam, steps, residual)
    if "crate.norm.weight" in p:
        z = _norm(p, "crate.norm", z)
    return z @ p.get("lm_head.weight", words).T


def widened(y: Tensor, weight: Tensor) -> Tensor:
    """y_t + sum_j w_j * y_{t - j}; the last row of ``weight`` is for the token itself."""
    rows = []
    for t in range(len(y)):
        total = y[t]
        for back in range(min(t + 1, len(weight))):
            total = total + weight[len(weight) - 1 - back] * y[t - back]
        rows.append(total)
    return torch.stack(rows)


def _compression(p, name, y, heads, theta, attend_self, lags):
    if f"{name}.qkv.weight" in p:
        query, key, value = (y @ p[f"{name}.qkv.weight"].T).chunk(3, dim=-1)
    else:
        query = key = value = y @ p[f"{name}.subspaces.weight"].T
    split = [x.chunk(heads, dim=-1) for x in (query, key, value)]
    if f"{name}.temperature" in p:
        bias = p.get(f"{name}.membership_bias")
        averages, _ = token_statistics.causal(
            torch.stack(split[0]),
            p[f"{name}.temperature"],
            None if bias is None else bias[:, : len(y)],
        )
    else:
        averages = [
            _attention(*parts, theta, attend_self, lag)
            for *parts, lag in zip(*split, lags or [0] * heads, strict=True)
        ]
    step = torch.cat(list(averages), dim=-1)
    if f"{name}.output.weight" in p:
        return F.linear(step, p[f"{name}.output.weight"], p.get(f"{name}.output.bias"))
    return step @ p[f"{name}.subspaces.weight"]  # tied


def _attention(query, key, value, theta, attend_self, lag):
    rows, dim = [], query.shape[-1]
    nothing = torch.zeros_like(key[0])
    key = torch.stack([key[j - lag] if j >= lag else nothing for j in range(len(key))])
    if theta is not None:
        query, key = _turned(query, theta), _turned(key, theta)
    for t in range(len(query)):
        others = list(range(t + 1 if attend_self else t)) or [0]
        scores = key[others] @ query[t] / dim**0.5
        rows.append(scores.softmax(0) @ value[others])
    return torch.stack(rows)


def _turned(x: Tensor, theta: float) -> Tensor:
    half = x.shape[-1] // 2
    planes = torch.complex(x[:, :half], x[:, half:])
    angles = [[t * theta ** (-j / half) for j in range(half)] for t in range(len(x))]
    angles = torch.tensor(angles, dtype=x.dtype)
    turned = planes * torch.polar(torch.ones_like(angles), angles)
    return torch.cat([turned.real, turned.imag], dim=-1)


def _sparsification(p, name, z, eta, lam, steps, residual):
    if f"{name}.norm.weight" not in p:
        return z
    v = _norm(p, f"{name}.norm", z)
    if f"{name}.window.weight" in p:
        v = widened(v, p[f"{name}.window.weight"])
    if f"{name}.ista.up.weight" in p:
        hidden = F.gelu(F.linear(v, p[f"{name}.ista.up.weight"], p[f"{name}.ista.up.bias"]))
        return z + F.linear(hidden, p[f"{name}.ista.down.weight"], p[f"{name}.ista.down.bias"])
    dictionary = p[f"{name}.ista.dictionary"]
    if dictionary.shape[0] == dictionary.shape[1]:
        return ista(v, dictionary, eta, lam)
    codes = ista_from_zero(v, dictionary, eta, lam, steps)
    back = codes @ p.get(f"{name}.ista.synthesis", dictionary).T
    return z + back if residual else back


def _norm(p, name, z):
    return F.layer_norm(z, z.shape[-1:], p[f"{name}.weight"], p[f"{name}.bias"])
