"""Attention and predictions of a model for the images a report shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor
from transformers import PreTrainedModel

from whitebox_transformers.analysis.attention import class_attention
from whitebox_transformers.analysis.layers import evaluating
from whitebox_transformers.analysis.memberships import has_memberships
from whitebox_transformers.analysis.patches import grid_of
from whitebox_transformers.crate.image_processing_crate import CrateImageProcessor
from whitebox_transformers.evaluation.class_names import class_names
from whitebox_transformers.report.content import AttentionOfImage, Prediction, Reconstruction
from whitebox_transformers.report.examples import Example, picture_of
from whitebox_transformers.report.gallery import (
    MEMBERSHIPS,
    MOST_RANKED,
    Gallery,
    has_attention,
    is_mssa,
    layer_shown_first,
)
from whitebox_transformers.report.specimen import Specimen

_TILES = (
    "Each tile is one head: how much the class token attends to every patch, {scores}. The class "
    "token's own share is left out and every tile is scaled to its own largest weight."
)
_WHITE_BOX_SCORES = r"the softmax over tokens of $⟨U_k^\top z_i, U_k^\top z_{cls}⟩/√p$"
_BLACK_BOX_SCORES = "the softmax over tokens of query times key"
_MEAN_POOLING = (
    " This model classifies the mean of all tokens, so its class token need not have learned where "
    "to look."
)


class ImageGallery(Gallery):
    """Images.

    Args:
        examples: As the model reads them.
        processor: What made them so.
        left_out: Files that could not be used, with the reason.
    """

    shown = "images"
    sample = "image"

    def __init__(
        self,
        examples: Sequence[Example],
        processor: CrateImageProcessor,
        left_out: Sequence[str] = (),
    ) -> None:
        super().__init__(left_out)
        self.examples = examples
        self.pictures = [picture_of(example.pixel_values, processor) for example in examples]
        self.processor = processor

    def beginning(self, count: int) -> Self:
        """A gallery of the first images only."""
        return type(self)(self.examples[:count], self.processor, self.left_out)

    def first(self) -> tuple[str, dict[str, Tensor]]:
        """The first image."""
        return self.examples[0].name, {"pixel_values": self.examples[0].pixel_values}

    @property
    def query_name(self) -> str:
        """The token that stands for an image."""
        return "class token"

    def specimens(self, model: PreTrainedModel) -> list[Specimen]:
        """Every image and its patches."""
        return [
            Specimen(
                example.name,
                {"pixel_values": example.pixel_values},
                0,
                picture,
                grid_of(model, example.pixel_values),
            )
            for example, picture in zip(self.examples, self.pictures, strict=True)
        ]

    def attention_words(self, model: PreTrainedModel) -> str:
        """What the attention maps of this model show."""
        if has_memberships(model):
            return MEMBERSHIPS
        scores = _WHITE_BOX_SCORES if is_mssa(model) else _BLACK_BOX_SCORES
        pooled = getattr(model.config, "pooling", "cls") == "mean"
        return _TILES.replace("{scores}", scores) + (_MEAN_POOLING if pooled else "")

    def attention(self, model: PreTrainedModel, control: PreTrainedModel) -> list[AttentionOfImage]:
        """Class-token attention of every layer and head."""
        if not has_attention(model):
            return []
        shown = layer_shown_first(model)
        return [
            AttentionOfImage(
                example.name,
                picture,
                {
                    layer + 1: weights[0].numpy()
                    for layer, weights in class_attention(model, example.pixel_values).items()
                },
                shown + 1,
                class_attention(control, example.pixel_values, [shown])[shown][0].numpy(),
            )
            for example, picture in zip(self.examples, self.pictures, strict=True)
        ]

    def predictions(self, model: PreTrainedModel) -> Sequence[Prediction | Reconstruction]:
        """The most probable classes of every image."""
        names = class_names(model)
        predictions = []
        with evaluating(model), torch.inference_mode():
            for example, picture in zip(self.examples, self.pictures, strict=True):
                logits = model(pixel_values=example.pixel_values.to(model.device)).logits
                shares = logits[0].float().softmax(-1).cpu()
                best = shares.topk(min(MOST_RANKED, len(shares)))
                ranking = [
                    (names[int(index)], float(share))
                    for index, share in zip(best.indices, best.values, strict=True)
                ]
                predictions.append(Prediction(example.name, picture, ranking, example.truth))
        return predictions
