"""f^pre for text: tokens, positions, token types.

Legend: B batch, N tokens, D width, V vocabulary.
"""

import torch
from torch import nn

from .configuration_text import TextConfig


class TextEmbeddings(nn.Module):
    """Token ids (B, N) to Z^0, (B, N, D).

    Learned positions and token types are added where the configuration has them; a LayerNorm
    follows where it names an epsilon.
    """

    def __init__(self, config: TextConfig):
        super().__init__()
        self.vocab_size, width = config.vocab_size, config.hidden_size
        self.word_embeddings = nn.Embedding(config.vocab_size, width)
        self.position_embeddings = self.token_type_embeddings = self.norm = None
        if config.position_embedding_type == "learned":
            self.position_embeddings = nn.Embedding(config.max_position_embeddings, width)
        if config.type_vocab_size:
            self.token_type_embeddings = nn.Embedding(config.type_vocab_size, width)
        if config.embedding_norm_eps is not None:
            self.norm = nn.LayerNorm(width, eps=config.embedding_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(
        self,
        input_ids: torch.Tensor | None,
        position_ids: torch.Tensor,
        token_type_ids: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Embed tokens.

        Args:
            input_ids: (B, N), or ``None`` with ``inputs_embeds``.
            position_ids: (B, N) or (1, N), rows of the position table.
            token_type_ids: (B, N); zeros by default.
            inputs_embeds: Token vectors (B, N, D) in place of ids.
        """
        z = self.word_embeddings(input_ids) if inputs_embeds is None else inputs_embeds
        if self.token_type_embeddings is not None:
            if token_type_ids is None:
                token_type_ids = torch.zeros(z.shape[:2], dtype=torch.long, device=z.device)
            z = z + self.token_type_embeddings(token_type_ids)
        if self.position_embeddings is not None:
            z = z + self.position_embeddings(position_ids)
        if self.norm is not None:
            z = self.norm(z)
        return self.dropout(z)


__all__ = ["TextEmbeddings"]
