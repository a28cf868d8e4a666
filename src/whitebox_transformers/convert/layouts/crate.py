"""The authors' supervised CRATE, and the demo checkpoint of the segmentation paper.

Both are the same classifier. The demo checkpoint has a square matrix where the classes usually
are, and a matrix ``head`` to the 21,842 classes which no released forward pass applies: it is
dropped, so that logits are the authors'. `Choices.apply_head` lets it follow instead, without an
activation between, which makes a classifier but is not the authors' function.
"""

from __future__ import annotations

from collections.abc import Set
from typing import Any, ClassVar

from whitebox_transformers.convert.choices import Choices, decide_steps
from whitebox_transformers.convert.geometry import decide_image, decide_patch
from whitebox_transformers.convert.heads import decide_heads
from whitebox_transformers.convert.layouts.classifier import (
    LAYERS,
    OUR_LAYERS,
    ClassifierLayout,
    decide_pooling,
    depth_of,
    has_output,
    head_shapes,
    one_if_square,
    positions_of,
)
from whitebox_transformers.convert.layouts.layout import renamed_layers
from whitebox_transformers.convert.reading import Checkpoint
from whitebox_transformers.convert.report import Decision
from whitebox_transformers.crate import CrateConfig
from whitebox_transformers.errors import UserError

EMBEDDINGS = {
    "pos_embedding": "position_embeddings",
    "cls_token": "cls_token",
    "to_patch_embedding.1.weight": "patch_embeddings.norm_in.weight",
    "to_patch_embedding.1.bias": "patch_embeddings.norm_in.bias",
    "to_patch_embedding.2.weight": "patch_embeddings.projection.weight",
    "to_patch_embedding.2.bias": "patch_embeddings.projection.bias",
    "to_patch_embedding.3.weight": "patch_embeddings.norm_out.weight",
    "to_patch_embedding.3.bias": "patch_embeddings.norm_out.bias",
}
LAYER = {
    "0.norm.weight": "compress.norm.weight",
    "0.norm.bias": "compress.norm.bias",
    "0.fn.qkv.weight": "compress.mssa.subspaces.weight",
    "1.norm.weight": "sparsify.norm.weight",
    "1.norm.bias": "sparsify.norm.bias",
    "1.fn.weight": "sparsify.ista.dictionary",
}
OUTPUT = {
    "0.fn.to_out.0.weight": "compress.mssa.output.weight",
    "0.fn.to_out.0.bias": "compress.mssa.output.bias",
}
HEAD_KEYS = ("head.weight", "head.bias")


class Crate(ClassifierLayout):
    """``to_patch_embedding``, ``transformer.layers``, ``mlp_head`` and perhaps ``head``."""

    name: ClassVar[str] = "CRATE classifier"
    reads: ClassVar[frozenset[str]] = ClassifierLayout.reads | {"apply_head"}
    resize_over_crop: ClassVar[float] = 256 / 224

    def recognises(self, keys: Set[str]) -> bool:
        return any(key.startswith("to_patch_embedding.") for key in keys) or (
            "transformer.layers.0.1.fn.weight" in keys
        )

    def names(self, checkpoint: Checkpoint, choices: Choices) -> dict[str, str]:
        keys = checkpoint.tensors.keys()
        layer = LAYER | (OUTPUT if has_output(keys) else {})
        last = "projection" if choices.apply_head else "linear"
        renamed = {old: f"crate.embeddings.{new}" for old, new in EMBEDDINGS.items()}
        renamed |= renamed_layers(LAYERS, OUR_LAYERS, layer, depth_of(keys))
        for kind in ("weight", "bias"):
            renamed[f"mlp_head.0.{kind}"] = f"classifier.norm.{kind}"
            renamed[f"mlp_head.1.{kind}"] = f"classifier.{last}.{kind}"
            if choices.apply_head:
                renamed[f"head.{kind}"] = f"classifier.linear.{kind}"
        return renamed

    def unread(self, checkpoint: Checkpoint, choices: Choices) -> dict[str, str]:
        if choices.apply_head:
            return {}
        reason = "the authors' forward pass stops at mlp_head and never applies head"
        return {key: reason for key in HEAD_KEYS if key in checkpoint.tensors}

    def configure(
        self, checkpoint: Checkpoint, choices: Choices
    ) -> tuple[CrateConfig, list[Decision]]:
        width, patch_dim = checkpoint.shape("to_patch_embedding.2.weight", axes=2)
        if (found := checkpoint.shape("to_patch_embedding.1.weight", axes=1)) != (patch_dim,):
            raise UserError(
                f"{checkpoint.path}: 'to_patch_embedding.2.weight' has shape "
                f"{(width, patch_dim)}, but 'to_patch_embedding.1.weight' has {found}"
            )
        scores, _ = checkpoint.shape("mlp_head.1.weight", axes=2)
        projection, classes = None, scores
        if choices.apply_head:
            projection, classes = scores, checkpoint.shape("head.weight", axes=2)[0]
        shapes, positions = head_shapes(checkpoint, width), positions_of(checkpoint, width)
        heads = decide_heads(checkpoint, choices.heads, shapes)
        patch, channels = decide_patch(checkpoint, choices, positions, patch_dim)
        image = decide_image(checkpoint, choices, positions, patch.value)
        pooling = decide_pooling(checkpoint.metadata, choices)
        step_size, threshold = decide_steps(checkpoint.metadata, choices)
        fields: dict[str, Any] = {
            "image_size": one_if_square(image.value),
            "patch_size": one_if_square(patch.value),
            "num_channels": channels.value,
            "hidden_size": width,
            "num_hidden_layers": shapes.depth,
            "num_attention_heads": heads.value,
            "head_dim": shapes.inner // heads.value,
            "mssa_output": "learned" if has_output(checkpoint.tensors.keys()) else "identity",
            "projection_size": projection,
            "pooling": pooling.value,
            "step_size": step_size.value,
            "threshold": threshold.value,
            "num_labels": classes,
        }
        decisions = [heads, image, patch, channels, pooling, step_size, threshold]
        return CrateConfig(**fields), decisions
