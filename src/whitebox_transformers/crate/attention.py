"""Attention as every layer of the family computes it: weights, averages, cache, recording.

Legend: B batch, N tokens, N' tokens that may be attended to (those of a cache included), K heads,
P head width.
"""

import torch
import torch.nn.functional as F
from torch import nn
from transformers import Cache
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from .key_lag import lagged
from .products import Linear
from .rotary import Rotary, rotate


def attention_weights(
    query: torch.Tensor,
    key: torch.Tensor,
    mask: torch.Tensor | None,
    scaling: float,
    causal: bool = False,
) -> torch.Tensor:
    """Softmax of scaled inner products, rows summing to one.

    Args:
        query: (B, K, N, P).
        key: (B, K, N', P).
        mask: Added to the scores, or boolean with True for allowed; broadcast to (B, K, N, N').
        scaling: Factor on the scores, P^-1/2 in the authors' code.
        causal: Where there is no mask, let a query see the keys up to its own, queries being the
            last N of the N'.

    Returns:
        (B, K, N, N'), in the query's type; the softmax itself is float32 or better.
    """
    scores = query @ key.mT * scaling
    if mask is None and causal:
        queries, keys = scores.shape[-2:]
        mask = torch.ones(queries, keys, dtype=torch.bool, device=key.device).tril(keys - queries)
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
    weights = attention_weights(query, key, attention_mask, scaling, module.is_causal)
    dropped = F.dropout(weights, p=dropout, training=module.training)
    return (dropped @ value).transpose(1, 2), weights


def attend(module, query, key, value, mask: torch.Tensor | None, **kwargs) -> torch.Tensor:
    """Attention by the implementation that the configuration of ``module`` names.

    Args:
        module: Has ``config``, ``scaling``, ``is_causal`` and ``attention_dropout``.
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
    """Attention weights (B, K, N, N') for whoever records them, else ``None``.

    A module of its own because Hugging Face records module outputs; computed from what is
    compared, so that maps are available under fused attention too.
    """

    def forward(
        self, query, key, mask, scaling: float, causal: bool, wanted: bool
    ) -> torch.Tensor | None:
        if not wanted:
            return None
        if mask is not None and (not isinstance(mask, torch.Tensor) or mask.dim() != 4):
            raise ValueError(
                "output_attentions: this attention implementation has no mask to compute the "
                "weights with; call model.set_attn_implementation('sdpa') or 'eager' first."
            )
        return attention_weights(query, key, mask, scaling, causal)


class SelfAttention(nn.Module):
    """What MSSA and the ordinary attention that stands in for it share.

    Args:
        config: The model's configuration.
        layer_idx: Place of the layer in the stack, and so in a cache.
    """

    def __init__(self, config, layer_idx: int = 0):
        super().__init__()
        self.config, self.layer_idx = config, layer_idx
        self.is_causal, self.lags = config.is_causal, config.head_lags
        self.num_heads, self.head_dim = config.num_attention_heads, config.head_dim
        self.scaling = config.head_dim**-0.5
        self.attention_dropout = config.attention_probs_dropout_prob
        self.attention_map = AttentionMap()
        # In the data path, so that a hook on it sees and may replace head outputs, (B, N, K, P).
        self.heads = nn.Identity()
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def averages(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | None,
        record_attention: bool = False,
        cache: Cache | None = None,
        rotary: Rotary | None = None,
        key_positions: torch.Tensor | None = None,
        **kwargs,
    ) -> torch.Tensor:
        """Averages of the values of these and all cached tokens, (B, N, K * P).

        Args:
            query: (B, K, N, P), and so are key and value.
            key: The same tensor as ``query`` in MSSA.
            value: Averaged as it is; positions only turn what is compared.
            attention_mask: As for :func:`attention_weights`.
            record_attention: Compute the weights for whoever records them.
            cache: Holds keys and values unrotated and where they stand; extended by
                these.
            rotary: Rotations of the N queries and of the N' keys, by their own places.
            key_positions: Place of each of the N' in its document, for keys that lag; see
                :func:`.key_lag.lagged`.
            kwargs: For the attention implementation.
        """
        if cache is not None:
            key, value = cache.update(key, value, self.layer_idx)
        if self.lags is not None:
            key = lagged(key, self.lags, key_positions)
        if rotary is not None:
            same = key is query
            query = rotate(query, rotary.query)
            key = query if same else rotate(key, rotary.key)
        self.attention_map(
            query, key, attention_mask, self.scaling, self.is_causal, record_attention
        )
        return self.heads(attend(self, query, key, value, attention_mask, **kwargs)).flatten(-2)


class StepOutput(Linear):
    """The linear map through which a step enters the residual stream.

    A class of its own so that a model may draw it smaller than other maps.
    """


__all__ = [
    "AttentionMap",
    "SelfAttention",
    "StepOutput",
    "attend",
    "attention_weights",
    "eager_attention",
]
