"""Configuration of CRATE-BERT."""

from typing import Any, ClassVar

from huggingface_hub.dataclasses import strict

from .configuration_text import TextConfig, TokenIds
from .presets import BERT_PRESETS


@strict
class CrateBertConfig(TextConfig):
    """What a bidirectional text model of the family is made of. Defaults are CRATE-BERT-Base.

    The fields of :class:`.configuration_operators.OperatorConfig` and
    :class:`.configuration_text.TextConfig`, with the defaults of RoBERTa's vocabulary. Positions
    begin at ``pad_token_id + 1`` as RoBERTa's do, so that ``max_position_embeddings`` of 514 holds
    512 tokens.
    """

    model_type = "crate_bert"
    presets: ClassVar[dict[str, dict[str, Any]]] = BERT_PRESETS

    vocab_size: int = 50265
    max_position_embeddings: int = 514
    type_vocab_size: int = 1
    embedding_norm_eps: float | int | None = 1e-5
    hidden_dropout_prob: float | int = 0.1
    attention_probs_dropout_prob: float | int = 0.1
    mssa_output_bias: bool = False
    pad_token_id: int | None = 1
    bos_token_id: int | None = 0
    eos_token_id: TokenIds = 2


__all__ = ["BERT_PRESETS", "CrateBertConfig"]
