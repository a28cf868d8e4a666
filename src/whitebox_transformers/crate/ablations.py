"""The black-box parts that stand in for the two operators when a claim about them is tested.

Legend: B batch, N tokens, D width, K heads, P head width. arXiv 2308.16271 trains these hybrids
to ask which operator segmentation emerges from.
"""

import torch
from torch import nn

from .attention import SelfAttention, StepOutput
from .products import Linear


class QKVAttention(SelfAttention):
    """Ordinary attention with three projections in place of MSSA: (B, N, D) to (B, N, D).

    A cache then holds keys and values, as usual. With ``first_token_only``: (B, 1, D).
    """

    def __init__(self, config, layer_idx: int = 0):
        super().__init__(config, layer_idx)
        inner = self.num_heads * self.head_dim
        self.qkv = Linear(config.hidden_size, 3 * inner, bias=False)
        self.output = StepOutput(inner, config.hidden_size, bias=config.mssa_output_bias)

    def forward(
        self,
        z: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        first_token_only: bool = False,
        **kwargs,
    ) -> torch.Tensor:
        qkv = self.qkv(z).unflatten(-1, (3, self.num_heads, self.head_dim))
        query, key, value = qkv.transpose(1, 3).unbind(2)
        if first_token_only:
            query = query[:, :, :1]
        return self.dropout(self.output(self.averages(query, key, value, attention_mask, **kwargs)))


class MLP(nn.Module):
    """The two-layer GELU network in place of ISTA: (B, N, D) to (B, N, D)."""

    def __init__(self, config):
        super().__init__()
        hidden = int(config.mlp_ratio * config.hidden_size)
        self.up = Linear(config.hidden_size, hidden)
        self.codes = nn.Identity()
        self.down = StepOutput(hidden, config.hidden_size)

    def forward(self, v: torch.Tensor) -> torch.Tensor:
        return self.down(self.codes(nn.functional.gelu(self.up(v))))


__all__ = ["MLP", "QKVAttention"]
