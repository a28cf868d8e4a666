"""What stands on the encoder of text.

Legend: B batch, N tokens, D width, V vocabulary, C classes.
"""

import torch
import torch.nn.functional as F
from torch import nn

from .configuration_crate_bert import CrateBertConfig
from .inputs_text import is_padding_mask
from .products import Linear


def first_tokens(z: torch.Tensor, attention_mask: torch.Tensor | None) -> torch.Tensor:
    """The first token of every sequence that is not padding, (B, N, D) to (B, D).

    Args:
        z: Tokens.
        attention_mask: (B, N), 0 at padding; with ``None`` or a mask of another form the first
            token is taken.
    """
    if not is_padding_mask(attention_mask):
        return z[:, 0]
    first = attention_mask.to(z.device, torch.int).argmax(1)
    return z[torch.arange(z.shape[0], device=z.device), first]


def last_tokens(
    z: torch.Tensor,
    attention_mask: torch.Tensor | None,
    input_ids: torch.Tensor | None,
    pad_token_id: int | None,
) -> torch.Tensor:
    """The last token of every sequence that is not padding, (B, N, D) to (B, D).

    Args:
        z: Tokens, those after a cache alone.
        attention_mask: (B, past + N), 0 at padding. With ``None`` or a mask of another form, what
            bears the padding token's id is padding.
        input_ids: (B, N), if they are known.
        pad_token_id: That id, if there is one.
    """
    batch, count = z.shape[:2]
    if is_padding_mask(attention_mask):
        real = attention_mask.to(z.device)[:, -count:] != 0
    elif input_ids is not None and pad_token_id is not None:
        real = input_ids.to(z.device) != pad_token_id
    else:
        return z[:, -1]
    last = (real * torch.arange(count, device=z.device)).amax(1)
    return z[torch.arange(batch, device=z.device), last]


def head_dropout(config: CrateBertConfig) -> nn.Dropout:
    """Dropout in front of a classifier: its own, or the encoder's where none is named."""
    own = config.classifier_dropout
    return nn.Dropout(config.hidden_dropout_prob if own is None else own)


class Pooler(nn.Module):
    """tanh of a linear map of the first token: (B, D) to (B, D)."""

    def __init__(self, config: CrateBertConfig):
        super().__init__()
        self.dense = Linear(config.hidden_size, config.hidden_size)

    def forward(self, first: torch.Tensor) -> torch.Tensor:
        return self.dense(first).tanh()


class MaskedLMHead(nn.Module):
    """Linear, GELU, LayerNorm, and the vocabulary matrix with its bias: (B, N, D) to (B, N, V)."""

    def __init__(self, config: CrateBertConfig):
        super().__init__()
        eps = config.embedding_norm_eps
        self.dense = Linear(config.hidden_size, config.hidden_size)
        self.norm = nn.LayerNorm(
            config.hidden_size, eps=config.layer_norm_eps if eps is None else eps
        )
        self.decoder: nn.Linear = Linear(config.hidden_size, config.vocab_size)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return self.decoder(self.norm(F.gelu(self.dense(z))))


class SequenceHead(nn.Module):
    """Class scores from the first token: (B, D) to (B, C), one tanh layer between."""

    def __init__(self, config: CrateBertConfig):
        super().__init__()
        assert config.num_labels is not None  # a configuration without names is given two
        self.dropout = head_dropout(config)
        self.dense = Linear(config.hidden_size, config.hidden_size)
        self.linear = Linear(config.hidden_size, config.num_labels)

    def forward(self, first: torch.Tensor) -> torch.Tensor:
        feature = self.dense(self.dropout(first)).tanh()
        return self.linear(self.dropout(feature))


__all__ = ["MaskedLMHead", "Pooler", "SequenceHead", "first_tokens", "head_dropout", "last_tokens"]
