"""CRATE-BERT as its authors proposed it to transformers, with any of their heads or none.

RoBERTa's names around the white-box layer, no biases inside it. Models with a head other than
multiple choice are built without the pooler, so that one in the file is dropped.
"""

from __future__ import annotations

from collections.abc import Set
from typing import Any, ClassVar

from transformers import PreTrainedConfig, PreTrainedModel, RobertaTokenizer

from whitebox_transformers.convert.choices import Choices, choose, decide_steps
from whitebox_transformers.convert.heads import decide_heads
from whitebox_transformers.convert.layouts.layout import (
    Companion,
    both,
    layers_below,
    renamed_layers,
)
from whitebox_transformers.convert.layouts.text import (
    TextLayout,
    configured,
    require_agreement,
    require_same,
    square_head_shapes,
)
from whitebox_transformers.convert.reading import Checkpoint
from whitebox_transformers.convert.report import Decision
from whitebox_transformers.crate import (
    CrateBertConfig,
    CrateBertForMaskedLM,
    CrateBertForMultipleChoice,
    CrateBertForQuestionAnswering,
    CrateBertForSequenceClassification,
    CrateBertForTokenClassification,
    CrateBertModel,
)
from whitebox_transformers.crate.places import first_position
from whitebox_transformers.errors import UserError

TABLES = ("word", "position", "token_type")
EMBEDDINGS = {
    f"embeddings.{table}_embeddings.weight": f"embeddings.{table}_embeddings.weight"
    for table in TABLES
} | both("embeddings.LayerNorm", "embeddings.norm")
LAYER = {
    **both("attention.self.prenorm", "compress.norm"),
    "attention.self.qkv.weight": "compress.mssa.subspaces.weight",
    "attention.output.dense.weight": "compress.mssa.output.weight",
    **both("output.prenorm", "sparsify.norm"),
    "output.weight": "sparsify.ista.dictionary",
}
POOLER = both("pooler.dense", "pooler.dense")
HEADS: dict[str, tuple[type[PreTrainedModel], dict[str, str]]] = {
    "masked language model": (
        CrateBertForMaskedLM,
        both("lm_head.dense", "lm_head.dense") | both("lm_head.layer_norm", "lm_head.norm"),
    ),
    "sequence classification": (
        CrateBertForSequenceClassification,
        both("classifier.dense", "classifier.dense")
        | both("classifier.out_proj", "classifier.linear"),
    ),
    "token classification": (
        CrateBertForTokenClassification,
        both("classifier", "classifier"),
    ),
    "question answering": (
        CrateBertForQuestionAnswering,
        both("qa_outputs", "qa_outputs"),
    ),
    "multiple choice": (
        CrateBertForMultipleChoice,
        both("classifier", "classifier"),
    ),
    "none": (CrateBertModel, {}),
}
# One vocabulary matrix and one bias under two names each; a file may hold either or both.
BIASES = ("lm_head.bias", "lm_head.decoder.bias")
# Facts of the file's configuration that no weight shows and no result depends on.
CARRIED = (
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "classifier_dropout",
    "initializer_range",
    "bos_token_id",
    "eos_token_id",
    "problem_type",
)


class CrateBert(TextLayout):
    """``embeddings``, ``encoder.layer``, perhaps ``pooler`` and one head."""

    name: ClassVar[str] = "CRATE-BERT"
    reads: ClassVar[frozenset[str]] = TextLayout.reads | {"embedding_norm_eps", "pad_token_id"}
    published_tokenizer: ClassVar[str] = "RoBERTa's byte-level BPE, 50,265 tokens"
    tokenizer_class = RobertaTokenizer

    def recognises(self, keys: Set[str]) -> bool:
        return any(
            key.endswith(("attention.self.qkv.weight", "attention.self.prenorm.weight"))
            for key in keys
        )

    def build(self, checkpoint: Checkpoint, config: PreTrainedConfig) -> PreTrainedModel:
        assert isinstance(config, CrateBertConfig)
        keys = checkpoint.tensors.keys()
        kind, _ = HEADS[_head(keys)]
        if kind is CrateBertModel:
            return CrateBertModel(config, add_pooling_layer=_has_pooler(keys))
        return kind(config)

    def companion(self, checkpoint: Checkpoint, config: PreTrainedConfig) -> Companion:
        keys = checkpoint.tensors.keys()
        found = super().companion(checkpoint, config)
        if _head(keys) != "none" or _has_pooler(keys):
            return found
        note = "the file holds no pooler: AutoModel.from_pretrained(..., add_pooling_layer=False)"
        return found._replace(notes=(*found.notes, note))

    def names(self, checkpoint: Checkpoint, choices: Choices) -> dict[str, str]:
        keys = checkpoint.tensors.keys()
        prefix, head = _prefix(keys), _head(keys)
        ours = "" if head == "none" else "crate."
        pooled = head == "multiple choice" or (head == "none" and _has_pooler(keys))
        depth = layers_below(f"{prefix}encoder.layer.", keys)
        renamed = {
            f"{prefix}{old}": f"{ours}{new}"
            for old, new in (EMBEDDINGS | (POOLER if pooled else {})).items()
        }
        renamed |= renamed_layers(f"{prefix}encoder.layer.", f"{ours}stack.layers.", LAYER, depth)
        renamed |= HEADS[head][1]
        if head == "masked language model":
            biases = [key for key in BIASES if key in keys] or BIASES[:1]
            renamed |= dict.fromkeys(biases, "lm_head.decoder.bias")
            if "lm_head.decoder.weight" in keys:
                renamed["lm_head.decoder.weight"] = "lm_head.decoder.weight"
        return renamed

    def unread(self, checkpoint: Checkpoint, choices: Choices) -> dict[str, str]:
        keys = checkpoint.tensors.keys()
        head = _head(keys)
        if head in ("none", "multiple choice"):
            return {}
        reason = f"the authors' {head} model has no pooler and never applies it"
        pooler = (f"{_prefix(keys)}{key}" for key in POOLER)
        return {key: reason for key in pooler if key in keys}

    def configure(
        self, checkpoint: Checkpoint, choices: Choices
    ) -> tuple[CrateBertConfig, list[Decision]]:
        keys, metadata = checkpoint.tensors.keys(), checkpoint.metadata
        prefix, head = _prefix(keys), _head(keys)
        words, positions, types = (
            checkpoint.shape(f"{prefix}embeddings.{table}_embeddings.weight", axes=2)
            for table in TABLES
        )
        layers = f"{prefix}encoder.layer."
        depth = layers_below(layers, keys)
        of_shapes = {
            "num_hidden_layers": depth,
            "hidden_size": words[1],
            "vocab_size": words[0],
            "max_position_embeddings": positions[0],
            "type_vocab_size": types[0],
        }
        require_agreement(checkpoint, of_shapes)
        first = f"{layers}0.attention.self.qkv.weight"
        shapes = square_head_shapes(checkpoint, first, words[1], depth)
        heads = decide_heads(checkpoint, choices.heads, shapes)
        steps = decide_steps({}, choices)
        eps = choose(
            "embedding_norm_eps", choices.embedding_norm_eps, metadata.get("layer_norm_eps"), 1e-12
        )
        pad = choose("pad_token_id", choices.pad_token_id, metadata.get("pad_token_id"), 1)
        fields: dict[str, Any] = of_shapes | {
            "num_attention_heads": heads.value,
            "mssa_output_bias": False,
            "step_size": steps[0].value,
            "threshold": steps[1].value,
            "layer_norm_eps": 1e-5,
            "embedding_norm_eps": eps.value,
            "pad_token_id": pad.value,
        }
        fields |= {key: metadata[key] for key in CARRIED if metadata.get(key) is not None}
        fields |= _labels(checkpoint, head)
        config = configured(checkpoint, CrateBertConfig, fields)
        if positions[0] <= first_position(config):
            raise UserError(
                f"{checkpoint.path}: {positions[0]} positions leave none for tokens, which begin "
                f"after padding token {pad.value}: give --pad-token-id"
            )
        if head == "masked language model":
            require_same(checkpoint, BIASES)
            embedding = f"{prefix}embeddings.word_embeddings.weight"
            require_same(checkpoint, (embedding, "lm_head.decoder.weight"))
        return config, [Decision("head", head, "names"), heads, *steps, eps, pad]


def _prefix(keys: Set[str]) -> str:
    """Models with a head keep the encoder under ``crate.``, the bare encoder has no prefix."""
    return "crate." if any(key.startswith("crate.") for key in keys) else ""


def _has_pooler(keys: Set[str]) -> bool:
    return any(key.removeprefix("crate.").startswith("pooler.") for key in keys)


def _head(keys: Set[str]) -> str:
    """The key of `HEADS` that the names show."""
    if any(key.startswith("lm_head.") for key in keys):
        return "masked language model"
    if any(key.startswith("qa_outputs.") for key in keys):
        return "question answering"
    if any(key.startswith(("classifier.dense.", "classifier.out_proj.")) for key in keys):
        return "sequence classification"
    if any(key.startswith("classifier.") for key in keys):
        return "multiple choice" if _has_pooler(keys) else "token classification"
    return "none"


def _labels(checkpoint: Checkpoint, head: str) -> dict[str, Any]:
    """The classes of a head that has its own: their names, or their number."""
    key = {
        "sequence classification": "classifier.out_proj.weight",
        "token classification": "classifier.weight",
    }.get(head)
    if key is None:
        return {}
    rows, _ = checkpoint.shape(key, axes=2)
    names = checkpoint.metadata.get("id2label")
    if isinstance(names, dict) and len(names) == rows:
        return {k: v for k, v in checkpoint.metadata.items() if k in ("id2label", "label2id") and v}
    return {"num_labels": rows}
