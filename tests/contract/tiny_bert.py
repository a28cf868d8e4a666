"""The small bidirectional text models on which every promise to Hugging Face users is tried."""

from __future__ import annotations

from dataclasses import fields

import torch
from tests.contract.tiny import VARIANTS as IMAGE_VARIANTS

from whitebox_transformers.crate import (
    CrateBertConfig,
    CrateBertForMaskedLM,
    CrateBertForMultipleChoice,
    CrateBertForQuestionAnswering,
    CrateBertForSequenceClassification,
    CrateBertForTokenClassification,
    CrateBertModel,
    CrateBertPreTrainedModel,
)
from whitebox_transformers.crate.configuration_operators import OperatorConfig

PAD, BEGIN, END, MASK_TOKEN, VOCABULARY = 1, 0, 2, 3, 20
SIZES = {
    "vocab_size": VOCABULARY,
    "max_position_embeddings": 14,
    "type_vocab_size": 2,
    "hidden_size": 12,
    "num_hidden_layers": 3,
    "num_attention_heads": 3,
    "num_labels": 4,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}

_LAYERS = {field.name for field in fields(OperatorConfig)}
# Every choice of the layers that images offer, but one without compression: and those of text.
VARIANTS: dict[str, dict] = {
    name: choices
    for name, choices in IMAGE_VARIANTS.items()
    if choices.keys() <= _LAYERS and choices.get("compression") != "none"
} | {
    "output-bias": {"mssa_output_bias": True},
    "bare-embedding": {"type_vocab_size": 0, "embedding_norm_eps": None},
    "final-norm": {"final_norm": True},
    "rotary": {"position_embedding_type": "rotary", "rope_theta": 100.0},
    "rotary-attention": {"position_embedding_type": "rotary", "compression": "attention"},
    "lagging": {"position_embedding_type": "rotary", "key_lag": [0, 1, -1]},
    "lagging-attention": {"compression": "attention", "key_lag": -2},
    "no-positions": {"position_embedding_type": "none"},
    "window": {"window": 3},
    "wide-window": {"window": 5, "window_at": "both", "position_embedding_type": "none"},
    "rotary-window-without-self": {
        "position_embedding_type": "rotary",
        "window": 3,
        "attend_self": False,
    },
}
HEADS: dict[str, type[CrateBertPreTrainedModel]] = {
    "encoder": CrateBertModel,
    "masked-lm": CrateBertForMaskedLM,
    "sequence": CrateBertForSequenceClassification,
    "tokens": CrateBertForTokenClassification,
    "answers": CrateBertForQuestionAnswering,
    "choice": CrateBertForMultipleChoice,
}


def tiny_config(variant: str = "published", **overrides) -> CrateBertConfig:
    return CrateBertConfig(**SIZES | VARIANTS[variant] | overrides)


def tiny_bert(variant: str = "published", head: str = "masked-lm", **overrides):
    """A model in evaluation mode whose every parameter, norms and windows included, is random."""
    torch.manual_seed(0)
    model = HEADS[head](tiny_config(variant, **overrides)).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name or "window" in name or name.endswith("bias"):
                parameter.add_(0.3 * torch.randn_like(parameter))
            elif "ista" not in name:  # published models start far smaller than they end
                parameter.mul_(15)
    return model


def tiny_text(batch: int = 2, tokens: int = 7, seed: int = 0) -> dict[str, torch.Tensor]:
    """Sentences without padding: ids, mask and types (batch, tokens)."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(MASK_TOKEN, VOCABULARY, (batch, tokens), generator=generator)
    ids[:, 0], ids[:, -1] = BEGIN, END
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def padded(sentences: list[torch.Tensor], side: str, extra: int = 0) -> dict[str, torch.Tensor]:
    """One batch of sentences (tokens,) of any lengths, padded on one side."""
    longest = max(map(len, sentences)) + extra
    ids = torch.full((len(sentences), longest), PAD)
    mask = torch.zeros_like(ids)
    for row, sentence in enumerate(sentences):
        place = slice(0, len(sentence)) if side == "right" else slice(longest - len(sentence), None)
        ids[row, place], mask[row, place] = sentence, 1
    return {"input_ids": ids, "attention_mask": mask}


def task_inputs(head: str, batch: int = 2) -> dict[str, torch.Tensor]:
    """A batch with padding and labels for the head, none for the encoder."""
    sentences = [tiny_text(1, 7 - row, seed=row)["input_ids"][0] for row in range(batch)]
    inputs = padded(sentences, "right")
    ids, mask = inputs["input_ids"], inputs["attention_mask"]
    if head == "choice":
        inputs = {name: torch.stack([value, value.flip(0)], 1) for name, value in inputs.items()}
        return inputs | {"labels": torch.arange(batch) % 2}
    labels = {
        "encoder": {},
        "masked-lm": {"labels": ids.masked_fill(mask == 0, -100)},
        "sequence": {"labels": torch.arange(batch) % 4},
        "tokens": {"labels": (ids % 4).masked_fill(mask == 0, -100)},
        "answers": {"start_positions": torch.full((batch,), 1), "end_positions": mask.sum(1) - 1},
    }
    return inputs | labels[head]
