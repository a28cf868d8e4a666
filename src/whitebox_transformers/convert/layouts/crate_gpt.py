"""The authors' causal language models: CRATE-GPT, and CRATE-LM (arXiv 2410.16443).

nanoGPT's names around the white-box layer. CRATE-GPT has a square dictionary and no final
LayerNorm; CRATE-LM has several atoms a width, two steps from zero, and ``ln_f``. Only the buffer
``attn.bias``, the causal mask of a model without fused attention, is dropped.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Set
from typing import Any, ClassVar

import torch
from torch import Tensor
from transformers import GPT2Tokenizer, PreTrainedConfig

from whitebox_transformers.convert.choices import Choices, choose, decide_steps
from whitebox_transformers.convert.heads import decide_heads
from whitebox_transformers.convert.layouts.layout import both, layers_below, renamed_layers
from whitebox_transformers.convert.layouts.text import (
    TextLayout,
    configured,
    require_agreement,
    require_same,
    square_head_shapes,
)
from whitebox_transformers.convert.reading import Checkpoint
from whitebox_transformers.convert.report import Decision
from whitebox_transformers.crate import CrateGPTConfig, CrateGPTForCausalLM
from whitebox_transformers.errors import UserError

WORDS, POSITIONS, SCORES = "transformer.wte.weight", "transformer.wpe.weight", "lm_head.weight"
EMBEDDINGS = {
    WORDS: "crate.embeddings.word_embeddings.weight",
    POSITIONS: "crate.embeddings.position_embeddings.weight",
}
LAYERS, OUR_LAYERS = "transformer.h.", "crate.stack.layers."
LAYER = {
    **both("prenorm_1", "compress.norm"),
    "attn.c_attn.weight": "compress.mssa.subspaces.weight",
    **both("attn.c_proj", "compress.mssa.output"),
    **both("prenorm_2", "sparsify.norm"),
    "ista.weight": "sparsify.ista.dictionary",
}
FINAL_NORM = both("transformer.ln_f", "crate.norm")
MASK = re.compile(r"transformer\.h\.\d+\.attn\.bias")
# Vocabularies in which GPT-2's <|endoftext|> is token 50256: its own, and the padded one.
GPT2_SIZES, GPT2_END = (50257, 50304), 50256


class CrateGPT(TextLayout):
    """``transformer.wte``, ``transformer.h``, perhaps ``transformer.ln_f`` and ``lm_head``."""

    name: ClassVar[str] = "CRATE-GPT or CRATE-LM"
    published_tokenizer: ClassVar[str] = "GPT-2's byte-level BPE, 50,257 tokens"
    tokenizer_class = GPT2Tokenizer

    def recognises(self, keys: Set[str]) -> bool:
        own = (".prenorm_1.weight", ".prenorm_2.weight", ".ista.weight")
        return any(key.startswith(LAYERS) and key.endswith(own) for key in keys)

    def build(self, checkpoint: Checkpoint, config: PreTrainedConfig) -> CrateGPTForCausalLM:
        assert isinstance(config, CrateGPTConfig)
        return CrateGPTForCausalLM(config)

    def names(self, checkpoint: Checkpoint, choices: Choices) -> dict[str, str]:
        keys = checkpoint.tensors.keys()
        renamed = EMBEDDINGS | renamed_layers(LAYERS, OUR_LAYERS, LAYER, layers_below(LAYERS, keys))
        if _overcomplete(checkpoint):
            renamed |= FINAL_NORM
        # The authors' model holds one matrix under both names, so that a file may leave one out.
        return renamed | ({SCORES: SCORES} if SCORES in keys else {})

    def unread(self, checkpoint: Checkpoint, choices: Choices) -> dict[str, str]:
        reason = "the causal mask is no weight; the model makes its own"
        return {key: reason for key in checkpoint.tensors if MASK.fullmatch(key)}

    def weight(self, checkpoint: Checkpoint, key: str) -> Tensor:
        tensor = checkpoint.tensors[key]
        transposed = key.endswith(".ista.weight") and _overcomplete(checkpoint)
        return tensor.mT if transposed else tensor

    def configure(
        self, checkpoint: Checkpoint, choices: Choices
    ) -> tuple[CrateGPTConfig, list[Decision]]:
        metadata, depth = checkpoint.metadata, layers_below(LAYERS, checkpoint.tensors.keys())
        vocabulary, width = checkpoint.shape(WORDS, axes=2)
        context, _ = checkpoint.shape(POSITIONS, axes=2)
        of_shapes = {
            "n_layer": depth,
            "n_embd": width,
            "vocab_size": vocabulary,
            "block_size": context,
        }
        require_agreement(checkpoint, of_shapes)
        require_same(checkpoint, (WORDS, SCORES))
        _require_causal(checkpoint, self.unread(checkpoint, choices))
        ratio = _dictionary_ratio(checkpoint, width, depth)
        shapes = square_head_shapes(checkpoint, f"{LAYERS}0.attn.c_attn.weight", width, depth)
        heads = decide_heads(checkpoint, choices.heads, shapes)
        step_size, threshold = decide_steps({}, choices)
        said = metadata.get("dropout")
        dropout = choose("dropout", None, said if isinstance(said, float) else None, 0.0)
        fields: dict[str, Any] = {
            "vocab_size": vocabulary,
            "max_position_embeddings": context,
            "hidden_size": width,
            "num_hidden_layers": depth,
            "num_attention_heads": heads.value,
            "step_size": step_size.value,
            "threshold": threshold.value,
            "layer_norm_eps": 1e-5,
            "hidden_dropout_prob": dropout.value,
            "attention_probs_dropout_prob": dropout.value,
        }
        decisions = [heads, step_size, threshold, dropout]
        if ratio is None:
            decisions.append(Decision("sparsification", "ista", "shapes: a square dictionary"))
        else:
            fields |= {
                "sparsification": "overcomplete",
                "dictionary_ratio": ratio,
                "ista_iterations": 2,
                "synthesis": "tied",
                "ista_residual": False,
                "final_norm": True,
                "final_norm_eps": 1e-5,
            }
            atoms = f"shapes: {ratio} atoms a width"
            decisions.append(Decision("sparsification", "overcomplete", atoms))
        if vocabulary in GPT2_SIZES:
            fields |= {"bos_token_id": GPT2_END, "eos_token_id": GPT2_END}
            decisions.append(Decision("eos_token_id", GPT2_END, "GPT-2's vocabulary"))
        return configured(checkpoint, CrateGPTConfig, fields), decisions


def _overcomplete(checkpoint: Checkpoint) -> bool:
    """Whether the first dictionary is not square, which only CRATE-LM's is not."""
    first = checkpoint.tensors.get(f"{LAYERS}0.ista.weight")
    return first is not None and first.dim() == 2 and first.shape[0] != first.shape[1]


def _dictionary_ratio(checkpoint: Checkpoint, width: int, depth: int) -> int | None:
    """Atoms a width of CRATE-LM, ``None`` for the square dictionary of CRATE-GPT.

    Raises:
        UserError: The layers have dictionaries of different shapes, or of no whole ratio.
    """
    keys = [f"{LAYERS}{i}.ista.weight" for i in range(depth)]
    atoms, columns = checkpoint.shape(keys[0], axes=2)
    if columns != width or atoms % width:
        raise UserError(
            f"{checkpoint.path}: {keys[0]!r} has shape {(atoms, columns)}; expected "
            f"{(width, width)} or a multiple of {width} atoms by {width}"
        )
    for key in keys[1:]:
        if (found := checkpoint.shape(key, axes=2)) != (atoms, columns):
            raise UserError(
                f"{checkpoint.path}: {key!r} has shape {found}; expected {(atoms, columns)} as in "
                f"the first layer"
            )
    return None if atoms == width else atoms // width


def _require_causal(checkpoint: Checkpoint, keys: Iterable[str]) -> None:
    """Raise `UserError` where what would be dropped is not the causal mask."""
    for key in keys:
        mask = checkpoint.tensors[key]
        rows = mask.shape[-1] if mask.dim() else 0
        if mask.shape != (1, 1, rows, rows) or not torch.equal(mask, torch.ones_like(mask).tril()):
            raise UserError(
                f"{checkpoint.path}: {key!r} is not the causal mask, ones on and below the "
                f"diagonal; the authors' model has nothing else there"
            )
