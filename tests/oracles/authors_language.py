"""The authors' language models as plain functions of a state dict in their own layout.

CRATE-GPT and CRATE-LM are the two files of crate-lm, CRATE-BERT is the model proposed to
transformers. Written from the formulas and the tables of names: explicit softmax attention, three
products in ISTA. Nothing here knows the package.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from tests.oracles.authors_weights import Draw, State, linear, norm
from torch import Tensor

BERT_HEADS = ("none", "pooler", "mlm", "sequence", "tokens", "answers", "choice")


def random_gpt(*, vocab=23, context=16, width=12, depth=2, ratio=None, seed=0) -> State:
    """A random CRATE-GPT, or with ``ratio`` atoms per width the overcomplete CRATE-LM."""
    draw = Draw(seed)
    state = {"transformer.wte.weight": draw(vocab, width)}
    state["transformer.wpe.weight"] = draw(context, width)
    for i in range(depth):
        layer = f"transformer.h.{i}"
        state |= draw.norm(f"{layer}.prenorm_1", width)
        state[f"{layer}.attn.c_attn.weight"] = draw(width, width)
        state |= draw.linear(f"{layer}.attn.c_proj", width, width)
        state |= draw.norm(f"{layer}.prenorm_2", width)
        state[f"{layer}.ista.weight"] = draw((ratio or 1) * width, width)
    if ratio is not None:
        state |= draw.norm("transformer.ln_f", width)
    return state


def causal_mask(context: int) -> Tensor:
    """The buffer ``attn.bias`` of a model without fused attention, (1, 1, context, context)."""
    return torch.ones(context, context).tril()[None, None]


def gpt_logits(state: State, ids: Tensor, *, heads, eta=0.1, lam=0.1) -> Tensor:
    """Token ids (B, N) to scores of the next token (B, N, vocabulary)."""
    tokens = ids.shape[1]
    causal = torch.ones(tokens, tokens, dtype=torch.bool).tril()
    words = state["transformer.wte.weight"]
    z = words[ids] + state["transformer.wpe.weight"][:tokens]
    overcomplete = "transformer.ln_f.weight" in state
    for i in range(sum(key.endswith(".attn.c_attn.weight") for key in state)):
        layer = f"transformer.h.{i}"
        y = norm(state, f"{layer}.prenorm_1", z)
        averages = _averages(y @ state[f"{layer}.attn.c_attn.weight"].T, heads, causal)
        z = z + linear(state, f"{layer}.attn.c_proj", averages)
        v = norm(state, f"{layer}.prenorm_2", z)
        step = _two_steps_from_zero if overcomplete else _one_step
        z = step(v, state[f"{layer}.ista.weight"], eta, lam)
    if overcomplete:
        z = norm(state, "transformer.ln_f", z)
    return z @ words.T


def random_bert(
    *,
    vocab=19,
    positions=14,
    types=2,
    width=12,
    depth=2,
    head="none",
    labels=3,
    prefix="crate.",
    seed=0,
) -> State:
    """A random CRATE-BERT with one of ``BERT_HEADS``.

    A model without a head is saved without ``prefix``, with ``embeddings.`` at the top.
    """
    draw = Draw(seed)
    state = {
        f"{prefix}embeddings.{table}_embeddings.weight": draw(rows, width)
        for table, rows in (("word", vocab), ("position", positions), ("token_type", types))
    }
    state |= draw.norm(f"{prefix}embeddings.LayerNorm", width)
    for i in range(depth):
        layer = f"{prefix}encoder.layer.{i}"
        state |= draw.norm(f"{layer}.attention.self.prenorm", width)
        state[f"{layer}.attention.self.qkv.weight"] = draw(width, width)
        state[f"{layer}.attention.output.dense.weight"] = draw(width, width)
        state |= draw.norm(f"{layer}.output.prenorm", width)
        state[f"{layer}.output.weight"] = draw(width, width)
    if head in ("pooler", "choice"):
        state |= draw.linear(f"{prefix}pooler.dense", width, width)
    if head == "mlm":
        state |= draw.linear("lm_head.dense", width, width)
        state |= draw.norm("lm_head.layer_norm", width)
        state["lm_head.bias"] = draw(vocab)
    elif head == "sequence":
        state |= draw.linear("classifier.dense", width, width)
        state |= draw.linear("classifier.out_proj", labels, width)
    elif head == "tokens":
        state |= draw.linear("classifier", labels, width)
    elif head == "answers":
        state |= draw.linear("qa_outputs", 2, width)
    elif head == "choice":
        state |= draw.linear("classifier", 1, width)
    return state


def bert_positions(ids: Tensor, pad: int) -> Tensor:
    """Real tokens count from ``pad + 1``; padding stays at ``pad``. Written with loops."""
    positions = torch.full_like(ids, pad)
    for row, sentence in enumerate(ids.tolist()):
        reached = pad
        for column, token in enumerate(sentence):
            if token != pad:
                reached += 1
                positions[row, column] = reached
    return positions


def bert_tokens(
    state: State,
    ids: Tensor,
    *,
    heads,
    mask: Tensor | None = None,
    types: Tensor | None = None,
    pad=1,
    eps=1e-12,
    prefix="crate.",
    eta=0.1,
    lam=0.1,
) -> Tensor:
    """Token ids (B, N) to Z^L, (B, N, D); ``mask`` (B, N) is 0 at padding."""
    types = torch.zeros_like(ids) if types is None else types
    z = state[f"{prefix}embeddings.word_embeddings.weight"][ids]
    z = z + state[f"{prefix}embeddings.position_embeddings.weight"][bert_positions(ids, pad)]
    z = z + state[f"{prefix}embeddings.token_type_embeddings.weight"][types]
    z = norm(state, f"{prefix}embeddings.LayerNorm", z, eps)
    allowed = None if mask is None else mask.bool()[:, None, :]
    for i in range(sum(key.endswith(".attention.self.qkv.weight") for key in state)):
        layer = f"{prefix}encoder.layer.{i}"
        y = norm(state, f"{layer}.attention.self.prenorm", z)
        averages = _averages(y @ state[f"{layer}.attention.self.qkv.weight"].T, heads, allowed)
        z = z + linear(state, f"{layer}.attention.output.dense", averages)
        v = norm(state, f"{layer}.output.prenorm", z)
        z = _one_step(v, state[f"{layer}.output.weight"], eta, lam)
    return z


def bert_pooled(state: State, z: Tensor, prefix="crate.") -> Tensor:
    """tanh of a linear map of the first token, (B, N, D) to (B, D)."""
    return linear(state, f"{prefix}pooler.dense", z[:, 0]).tanh()


def bert_head(state: State, z: Tensor, head: str, *, eps=1e-12, prefix="crate.") -> Tensor:
    """What the head makes of Z^L, (B, N, D).

    Scores (B, N, vocabulary) of ``mlm``, (B, labels) of ``sequence``, (B, N, labels) of
    ``tokens``, (B, N, 2) of ``answers`` (start, end), (B, 1) of ``choice``.
    """
    if head == "mlm":
        features = F.gelu(linear(state, "lm_head.dense", z))
        features = norm(state, "lm_head.layer_norm", features, eps)
        words = state[f"{prefix}embeddings.word_embeddings.weight"]
        return features @ words.T + state["lm_head.bias"]
    if head == "sequence":
        feature = linear(state, "classifier.dense", z[:, 0]).tanh()
        return linear(state, "classifier.out_proj", feature)
    if head == "choice":
        return linear(state, "classifier", bert_pooled(state, z, prefix))
    return linear(state, {"tokens": "classifier", "answers": "qa_outputs"}[head], z)


def _averages(projections: Tensor, heads: int, allowed: Tensor | None) -> Tensor:
    """softmax(w w^T / sqrt(p)) w for every head; ``allowed`` (N, N) or (B, N or 1, N)."""
    averages = []
    for w in projections.chunk(heads, dim=-1):
        scores = w @ w.mT / math.sqrt(w.shape[-1])
        if allowed is not None:
            scores = scores.masked_fill(~allowed, -math.inf)
        averages.append(scores.softmax(-1) @ w)
    return torch.cat(averages, dim=-1)


def _one_step(v: Tensor, dictionary: Tensor, eta: float, lam: float) -> Tensor:
    """The square step; ``dictionary`` is D, so that D v is ``dictionary @ v``."""
    reconstruction = v @ dictionary.T
    gradient = reconstruction @ dictionary - v @ dictionary
    return (v - eta * gradient - eta * lam).relu()


def _two_steps_from_zero(v: Tensor, transposed: Tensor, eta: float, lam: float) -> Tensor:
    """CRATE-LM's step; ``transposed`` (atoms, width) is D^T, and D z is the way back."""
    correlation = v @ transposed.T
    first = (eta * correlation - eta * lam).relu()
    gram = (first @ transposed) @ transposed.T
    second = (first + eta * (correlation - gram) - eta * lam).relu()
    return second @ transposed
