"""What text models return: Hugging Face's fields, and Z^l and Z^{l+1/2} when recorded.

``hidden_states`` and ``z`` hold Z^0 .. Z^L, ``z_half`` holds Z^{l+1/2} per layer, ``attentions``
(B, K, N, N) per layer, under any attention implementation. Layers that were not asked for are
``None``.
"""

from dataclasses import dataclass
from typing import Any

import torch
from transformers.modeling_outputs import (
    BaseModelOutputWithPast,
    BaseModelOutputWithPooling,
    CausalLMOutputWithPast,
    MaskedLMOutput,
    MultipleChoiceModelOutput,
    QuestionAnsweringModelOutput,
    SequenceClassifierOutput,
    SequenceClassifierOutputWithPast,
    TokenClassifierOutput,
)
from transformers.utils import ModelOutput

Recorded = tuple[torch.Tensor | None, ...] | None


@dataclass
class Records:
    """What the family records beside Hugging Face's own; the fields come after those."""

    z: Recorded = None
    z_half: Recorded = None


@dataclass
class CrateGPTModelOutput(Records, BaseModelOutputWithPast):
    """Of a causal model: ``last_hidden_state`` (B, N, D) after a final LayerNorm, a cache.

    ``z`` ends with Z^L before that LayerNorm.
    """


@dataclass
class CrateCausalLMOutput(Records, CausalLMOutputWithPast):
    """Of a causal language model: ``loss``, ``logits`` (B, N, vocabulary), a cache."""


@dataclass
class CrateTextOutput(Records, BaseModelOutputWithPooling):
    """Of an encoder: ``last_hidden_state`` (B, N, D), ``pooler_output`` (B, D) or ``None``."""


@dataclass
class CrateMaskedLMOutput(Records, MaskedLMOutput):
    """Of a masked language model: ``loss``, ``logits`` (B, N, vocabulary)."""


@dataclass
class CrateSequenceClassifierOutput(Records, SequenceClassifierOutput):
    """Of a sequence classifier: ``loss``, ``logits`` (B, C)."""


@dataclass
class CrateSequenceClassifierOutputWithPast(Records, SequenceClassifierOutputWithPast):
    """Of a causal sequence classifier: ``loss``, ``logits`` (B, C), a cache."""


@dataclass
class CrateTokenClassifierOutput(Records, TokenClassifierOutput):
    """Of a token classifier: ``loss``, ``logits`` (B, N, C)."""


@dataclass
class CrateQuestionAnsweringOutput(Records, QuestionAnsweringModelOutput):
    """Of a span finder: ``loss``, ``start_logits`` and ``end_logits`` (B, N)."""


@dataclass
class CrateMultipleChoiceOutput(Records, MultipleChoiceModelOutput):
    """Of a choice model: ``loss``, ``logits`` (B, choices)."""


def records(outputs: ModelOutput) -> dict[str, Any]:
    """What an encoder recorded, for the output of the head on it."""
    return {key: outputs.get(key) for key in ("hidden_states", "attentions", "z", "z_half")}


__all__ = [
    "CrateCausalLMOutput",
    "CrateGPTModelOutput",
    "CrateMaskedLMOutput",
    "CrateMultipleChoiceOutput",
    "CrateQuestionAnsweringOutput",
    "CrateSequenceClassifierOutput",
    "CrateSequenceClassifierOutputWithPast",
    "CrateTextOutput",
    "CrateTokenClassifierOutput",
    "Records",
    "records",
]
