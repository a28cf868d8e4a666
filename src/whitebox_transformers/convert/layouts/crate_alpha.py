"""The authors' PyTorch model of CRATE-alpha (arXiv 2405.20299).

Convolutional patches, no biases in MSSA, an overcomplete dictionary with a second one for the way
back, a residual around it, and always the class token. LayerNorm's epsilon is 1e-6 in the layers
and 1e-5 in front of the classifier.
"""

from __future__ import annotations

from collections.abc import Set
from typing import Any, ClassVar

from whitebox_transformers.convert.choices import Choices, decide_steps
from whitebox_transformers.convert.geometry import decide_image
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
    "pos_embedding": "crate.embeddings.position_embeddings",
    "cls_token": "crate.embeddings.cls_token",
    "conv1.weight": "crate.embeddings.patch_embeddings.projection.weight",
    "conv1.bias": "crate.embeddings.patch_embeddings.projection.bias",
}
LAYER = {
    "0.norm.weight": "compress.norm.weight",
    "0.norm.bias": "compress.norm.bias",
    "0.fn.qkv.weight": "compress.mssa.subspaces.weight",
    "1.norm.weight": "sparsify.norm.weight",
    "1.norm.bias": "sparsify.norm.bias",
    "1.fn.D": "sparsify.ista.dictionary",
    "1.fn.D1": "sparsify.ista.synthesis",
}
OUTPUT = {"0.fn.to_out.0.weight": "compress.mssa.output.weight"}
CLASSIFIER = {
    f"mlp_head.{index}.{kind}": f"classifier.{part}.{kind}"
    for index, part in enumerate(("norm", "linear"))
    for kind in ("weight", "bias")
}


class CrateAlpha(ClassifierLayout):
    """``conv1``, ``transformer.layers`` with ``fn.D`` and ``fn.D1``, ``mlp_head``."""

    name: ClassVar[str] = "CRATE-alpha classifier"
    reads: ClassVar[frozenset[str]] = ClassifierLayout.reads - {"patch_size"}

    def recognises(self, keys: Set[str]) -> bool:
        return any(
            key.startswith("transformer.layers.") and key.endswith((".fn.D", ".fn.D1"))
            for key in keys
        )

    def names(self, checkpoint: Checkpoint, choices: Choices) -> dict[str, str]:
        keys = checkpoint.tensors.keys()
        layer = LAYER | (OUTPUT if has_output(keys) else {})
        layers = renamed_layers(LAYERS, OUR_LAYERS, layer, depth_of(keys))
        return EMBEDDINGS | layers | CLASSIFIER

    def configure(
        self, checkpoint: Checkpoint, choices: Choices
    ) -> tuple[CrateConfig, list[Decision]]:
        width, channels, tall, wide = checkpoint.shape("conv1.weight", axes=4)
        classes, _ = checkpoint.shape("mlp_head.1.weight", axes=2)
        shapes, positions = head_shapes(checkpoint, width), positions_of(checkpoint, width)
        heads = decide_heads(checkpoint, choices.heads, shapes)
        image = decide_image(checkpoint, choices, positions, (tall, wide))
        # The authors' model always takes the class token and a step of 0.1, whatever a file says.
        pooling = decide_pooling({}, choices)
        step_size, threshold = decide_steps({}, choices)
        fields: dict[str, Any] = {
            "image_size": one_if_square(image.value),
            "patch_size": one_if_square((tall, wide)),
            "num_channels": channels,
            "patch_embedding": "conv",
            "layer_norm_eps": 1e-6,
            "classifier_norm_eps": 1e-5,
            "hidden_size": width,
            "num_hidden_layers": shapes.depth,
            "num_attention_heads": heads.value,
            "head_dim": shapes.inner // heads.value,
            "mssa_output": "learned" if has_output(checkpoint.tensors.keys()) else "identity",
            "mssa_output_bias": False,
            "sparsification": "overcomplete",
            "dictionary_ratio": _dictionary_ratio(checkpoint, width),
            "ista_iterations": 2,
            "synthesis": "separate",
            "ista_residual": True,
            "pooling": pooling.value,
            "step_size": step_size.value,
            "threshold": threshold.value,
            "position_init_std": 0.02,
            "num_labels": classes,
        }
        decisions = [
            heads,
            image,
            Decision("patch_size", (tall, wide), "shapes"),
            Decision("num_channels", channels, "shapes"),
            pooling,
            step_size,
            threshold,
        ]
        return CrateConfig(**fields), decisions


def _dictionary_ratio(checkpoint: Checkpoint, width: int) -> int:
    key = "transformer.layers.0.1.fn.D"
    _, atoms = checkpoint.shape(key, axes=2)
    if atoms % width:
        raise UserError(
            f"{checkpoint.path}: {key!r} has {atoms} atoms; expected a multiple of width {width}"
        )
    return atoms // width
