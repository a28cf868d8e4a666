"""The authors' CRATE-MAE: encoder and decoder of the masked autoencoder (arXiv 2404.02446).

MAE's names around the white-box layers. In a decoder block the dictionary is part 0 and MSSA part
1. Two weights are never read by the authors' forward pass and are dropped: ``pos_embed``, in whose
place ``decoder_pos_embed`` is added to the encoder's tokens, and ``decoder_embed``.
"""

from __future__ import annotations

from collections.abc import Set
from typing import Any, ClassVar

from transformers import PreTrainedConfig

from whitebox_transformers.convert.choices import Choices, choose, decide_steps
from whitebox_transformers.convert.geometry import decide_image
from whitebox_transformers.convert.heads import Shapes, decide_heads, divisors
from whitebox_transformers.convert.layouts.classifier import (
    ClassifierLayout,
    one_if_square,
    positions_of,
)
from whitebox_transformers.convert.layouts.layout import both, layers_below, renamed_layers
from whitebox_transformers.convert.reading import Checkpoint
from whitebox_transformers.convert.report import Decision
from whitebox_transformers.crate import CrateMAEConfig, CrateMAEForPreTraining
from whitebox_transformers.errors import UserError

POSITIONS, QKV = "decoder_pos_embed", "fn.qkv.weight"
NAMES = {
    "cls_token": "crate.embeddings.cls_token",
    POSITIONS: "crate.embeddings.position_embeddings",
    "mask_token": "mask_token",
    **both("patch_embed.proj", "crate.embeddings.patch_embeddings.projection"),
    **both("norm", "crate.norm"),
    **both("decoder_norm", "decoder.norm"),
    **both("decoder_pred", "decoder.prediction"),
}
COMPRESS = {
    **both("norm", "compress.norm"),
    QKV: "compress.mssa.subspaces.weight",
    **both("fn.to_out.0", "compress.mssa.output"),
}
SPARSIFY = {**both("norm", "sparsify.norm"), "fn.weight": "sparsify.ista.dictionary"}
# By stack: the authors' prefix, ours, and which step comes first.
STACKS = {
    "encoder": ("blocks.", "crate.stack.layers.", (COMPRESS, SPARSIFY)),
    "decoder": ("decoder_blocks.", "decoder.stack.layers.", (SPARSIFY, COMPRESS)),
}


class CrateMAE(ClassifierLayout):
    """``patch_embed``, ``blocks``, ``decoder_blocks``, ``decoder_pred``."""

    name: ClassVar[str] = "CRATE-MAE (masked autoencoder)"
    reads: ClassVar[frozenset[str]] = frozenset(
        {"heads", "decoder_heads", "image_size", "step_size", "threshold", "norm_pix_loss"}
    )
    resize_over_crop: ClassVar[float] = 256 / 224

    def recognises(self, keys: Set[str]) -> bool:
        return POSITIONS in keys or any(key.startswith("decoder_blocks.") for key in keys)

    def build(self, checkpoint: Checkpoint, config: PreTrainedConfig) -> CrateMAEForPreTraining:
        assert isinstance(config, CrateMAEConfig)
        return CrateMAEForPreTraining(config)

    def names(self, checkpoint: Checkpoint, choices: Choices) -> dict[str, str]:
        keys, renamed = checkpoint.tensors.keys(), dict(NAMES)
        for theirs, ours, steps in STACKS.values():
            layer = {
                f"layers.0.{place}.{old}": new
                for place, step in enumerate(steps)
                for old, new in step.items()
                if _has_output(theirs, keys) or ".to_out." not in old
            }
            renamed |= renamed_layers(theirs, ours, layer, layers_below(theirs, keys))
        return renamed

    def unread(self, checkpoint: Checkpoint, choices: Choices) -> dict[str, str]:
        reasons = {
            "pos_embed": "the authors' forward pass adds decoder_pos_embed in its place",
            "decoder_embed.weight": "the authors' forward pass never applies decoder_embed",
            "decoder_embed.bias": "the authors' forward pass never applies decoder_embed",
        }
        return {key: why for key, why in reasons.items() if key in checkpoint.tensors}

    def configure(
        self, checkpoint: Checkpoint, choices: Choices
    ) -> tuple[CrateMAEConfig, list[Decision]]:
        keys, metadata = checkpoint.tensors.keys(), checkpoint.metadata
        width, channels, tall, wide = checkpoint.shape("patch_embed.proj.weight", axes=4)
        heads = _heads(checkpoint, width, choices)
        positions = positions_of(checkpoint, width, POSITIONS)
        image = decide_image(checkpoint, choices, positions, (tall, wide))
        step_size, threshold = decide_steps({}, choices, threshold=0.5)
        said = metadata.get("norm_pix_loss")
        normalised = choose(
            "norm_pix_loss", choices.norm_pix_loss, said if isinstance(said, bool) else None, False
        )
        fields: dict[str, Any] = {
            "image_size": one_if_square(image.value),
            "patch_size": one_if_square((tall, wide)),
            "num_channels": channels,
            "hidden_size": width,
            "num_hidden_layers": layers_below("blocks.", keys),
            "num_attention_heads": heads[0].value,
            "decoder_num_hidden_layers": layers_below("decoder_blocks.", keys),
            "decoder_num_attention_heads": heads[1].value,
            "mssa_output": "learned" if _has_output("blocks.", keys) else "identity",
            "step_size": step_size.value,
            "threshold": threshold.value,
            "norm_pix_loss": normalised.value,
        }
        ratio = metadata.get("mask_ratio")
        if isinstance(ratio, float):
            fields["mask_ratio"] = ratio
        decisions = [*heads, image, step_size, threshold, normalised]
        return CrateMAEConfig(**fields), decisions


def _has_output(prefix: str, keys: Set[str]) -> bool:
    """Whether the layers have an output matrix; one head of full width has none."""
    return any(key.startswith(prefix) and ".fn.to_out." in key for key in keys)


def _heads(checkpoint: Checkpoint, width: int, choices: Choices) -> list[Decision]:
    """Number of heads of encoder and decoder; the decoder's are the encoder's if nothing is said.

    Raises:
        UserError: Nothing decides it, a projection is not to the token's width, or one half has
            output matrices and the other has none.
    """
    keys = checkpoint.tensors.keys()
    halves = []
    for prefix, _, (first, _) in STACKS.values():
        key = f"{prefix}0.layers.0.{0 if first is COMPRESS else 1}.{QKV}"
        inner, _ = checkpoint.shape(key, axes=2)
        if inner != width:
            raise UserError(
                f"{checkpoint.path}: {key!r} has {inner} rows; expected the token's width {width}"
            )
        fitting = [k for k in divisors(inner) if (k > 1) == _has_output(prefix, keys)]
        halves.append(Shapes(width, layers_below(prefix, keys), inner, fitting))
    if len({prefix for prefix, *_ in STACKS.values() if _has_output(prefix, keys)}) == 1:
        raise UserError(
            f"{checkpoint.path}: one half has a single head and no output matrices, the other has "
            "them; there is no CRATE-MAE here of both kinds"
        )
    encoder = decide_heads(checkpoint, choices.heads, halves[0])
    decoder = decide_heads(checkpoint, choices.decoder_heads, halves[1], "decoder_", encoder)
    return [encoder, decoder]
