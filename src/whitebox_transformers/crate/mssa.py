"""MSSA: the compression step, attention whose query, key and value are one projection.

Legend: B batch, N tokens, D width, K heads (subspaces), P head width. Tokens are rows.

From the gradient of the coding rate in subspaces U_1..U_K (arXiv 2306.01129, equations 9 to 12, and
again in arXiv 2311.13110): with the projections ``w_k = Z U_k`` every head averages,
``SSA_k(Z) = softmax(w_k w_k^T / sqrt(P)) w_k``, and the K averages return to width D by an output
matrix, in the derivation [U_1, ..., U_K], in the published network a learned one. The scale
``1 / sqrt(P)`` is the authors' code's.
"""

import torch
import torch.nn.functional as F
from torch import nn
from transformers import initialization as init
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.utils.generic import maybe_autocast


def attention_weights(
    query: torch.Tensor, key: torch.Tensor, mask: torch.Tensor | None, scaling: float
) -> torch.Tensor:
    """Softmax of scaled inner products, rows summing to one.

    Args:
        query: (B, K, N, P).
        key: (B, K, N', P).
        mask: Added to the scores, or boolean with True for allowed; broadcast to (B, K, N, N').
        scaling: Factor on the scores, P^-1/2 in the authors' code.

    Returns:
        (B, K, N, N'), in the query's type; the softmax itself is float32 or better.
    """
    scores = query @ key.mT * scaling
    if mask is not None and mask.dtype == torch.bool:
        scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    elif mask is not None:
        scores = scores + mask
    wide = torch.promote_types(scores.dtype, torch.float32)
    return scores.softmax(-1, dtype=wide).to(query.dtype)


def eager_attention(module, query, key, value, attention_mask, scaling, dropout=0.0, **kwargs):
    """Attention spelled out; the reference for the fused implementations.

    Signature and result are those of ``ALL_ATTENTION_FUNCTIONS``: (B, N, K, P) and weights.
    """
    weights = attention_weights(query, key, attention_mask, scaling)
    dropped = F.dropout(weights, p=dropout, training=module.training)
    return (dropped @ value).transpose(1, 2), weights


def attend(module, query, key, value, mask: torch.Tensor | None, **kwargs) -> torch.Tensor:
    """Attention by the implementation that the configuration of ``module`` names.

    Args:
        module: Has ``config``, ``scaling`` and ``attention_dropout``.
        query: (B, K, N, P).
        key: (B, K, N', P).
        value: (B, K, N', P).
        mask: As for :func:`attention_weights`.
        kwargs: For the implementation.

    Returns:
        Averages of the values, (B, N, K, P).
    """
    implementation = ALL_ATTENTION_FUNCTIONS.get_interface(
        module.config._attn_implementation, eager_attention
    )
    dropout = module.attention_dropout if module.training else 0.0
    averages, _ = implementation(
        module, query, key, value, mask, scaling=module.scaling, dropout=dropout, **kwargs
    )
    return averages


class AttentionMap(nn.Module):
    """Attention weights (B, K, N, N) for whoever records them, else ``None``.

    A module of its own because Hugging Face records module outputs; computed from u, so that
    maps are available under fused attention too.
    """

    def forward(self, query, key, mask, scaling: float, wanted: bool) -> torch.Tensor | None:
        return attention_weights(query, key, mask, scaling) if wanted else None


class Subspaces(nn.Linear):
    """u = U^T z for all subspaces at once: (B, N, D) to (B, N, K * P), no bias.

    Rows k*P to (k+1)*P - 1 of the weight are U_k^T. With ``orthonormal`` every U_k is replaced
    by the orthonormal basis of its span that a Cholesky factor gives, differentiably.
    """

    def __init__(self, width: int, heads: int, head_dim: int, orthonormal: bool):
        super().__init__(width, heads * head_dim, bias=False)
        self.heads, self.head_dim, self.orthonormal = heads, head_dim, orthonormal

    def effective_weight(self) -> torch.Tensor:
        """The matrix that is applied, (K * P, D): the weight, or its orthonormal form."""
        if not self.orthonormal:
            return self.weight
        with maybe_autocast(self.weight.device.type, enabled=False):
            # The Gram matrix squares the condition number, too much for float32 where P nears D.
            wide = torch.float32 if self.weight.device.type == "mps" else torch.float64
            rows = self.weight.to(wide).view(self.heads, self.head_dim, -1)
            factor = torch.linalg.cholesky(rows @ rows.mT)
            basis = torch.linalg.solve_triangular(factor, rows, upper=False)
            return basis.flatten(0, 1).to(self.weight.dtype)

    def bases(self) -> torch.Tensor:
        """U_1..U_K as applied, (K, D, P)."""
        return self.effective_weight().view(self.heads, self.head_dim, -1).mT

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return F.linear(z, self.effective_weight())


class FixedOutput(nn.Module):
    """A random output matrix that is saved but never trained: (B, N, K * P) to (B, N, D)."""

    weight: torch.Tensor

    def __init__(self, inner: int, width: int):
        super().__init__()
        self.register_buffer("weight", torch.empty(width, inner))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the matrix as a fresh Linear's."""
        bound = self.weight.shape[1] ** -0.5
        init.uniform_(self.weight, -bound, bound)

    def forward(self, averages: torch.Tensor) -> torch.Tensor:
        return F.linear(averages, self.weight)


class TiedOutput(nn.Module):
    """[U_1, ..., U_K] (``tied``) or its transpose (``transpose``) as the output matrix."""

    def __init__(self, transpose: bool):
        super().__init__()
        self.transpose = transpose

    def forward(self, averages: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return averages @ (weight.T if self.transpose else weight)


class MSSA(nn.Module):
    """Multi-head subspace self-attention, (B, N, D) to (B, N, D).

    The output matrix is the configuration's ``mssa_output``. Attention runs through
    ``ALL_ATTENTION_FUNCTIONS`` with one tensor as query, key and value.
    """

    is_causal = False

    def __init__(self, config):
        super().__init__()
        width, heads, head_dim = (
            config.hidden_size,
            config.num_attention_heads,
            config.head_dim,
        )
        self.config = config
        self.scaling = head_dim**-0.5
        self.attention_dropout = config.attention_probs_dropout_prob
        self.subspaces = Subspaces(width, heads, head_dim, config.orthonormal_subspaces)
        self.attention_map = AttentionMap()
        # In the data path, so that a hook on it sees and may replace head outputs, (B, N, K, P).
        self.heads = nn.Identity()
        if config.mssa_output == "learned":
            self.output = nn.Linear(heads * head_dim, width, bias=config.mssa_output_bias)
        elif config.mssa_output == "fixed":
            self.output = FixedOutput(heads * head_dim, width)
        elif config.mssa_output == "identity":
            self.output = nn.Identity()
        else:
            self.output = TiedOutput(transpose=config.mssa_output == "transpose")
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(
        self,
        z: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        record_attention: bool = False,
        **kwargs,
    ) -> torch.Tensor:
        u = self.subspaces(z)
        w = u.unflatten(-1, (self.subspaces.heads, self.subspaces.head_dim)).transpose(1, 2)
        self.attention_map(w, w, attention_mask, self.scaling, record_attention)
        averages = self.heads(attend(self, w, w, w, attention_mask, **kwargs)).flatten(-2)
        if isinstance(self.output, TiedOutput):
            step = self.output(averages, self.subspaces.effective_weight())
        else:
            step = self.output(averages)
        return self.dropout(step)


__all__ = ["MSSA", "Subspaces", "attend", "attention_weights", "eager_attention"]
