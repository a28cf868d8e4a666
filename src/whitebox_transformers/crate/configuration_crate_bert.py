"""Configuration of CRATE-BERT."""

from collections.abc import Iterable
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
    512 tokens. And:

    Args:
        classifier_dropout: Dropout in front of a task's classifier; ``None`` takes
            ``hidden_dropout_prob``.

    Raises:
        ValueError: As for the shared fields.
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
    classifier_dropout: float | int | None = None

    def _check(self, unknown: Iterable[str]) -> None:
        super()._check(unknown)
        if self.classifier_dropout is not None and not 0 <= self.classifier_dropout < 1:
            raise ValueError(f"classifier_dropout={self.classifier_dropout} must be in [0, 1).")


__all__ = ["BERT_PRESETS", "CrateBertConfig"]
