"""Attention and predictions of a model for the images a report shows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from transformers import PreTrainedModel

from whitebox_transformers.analysis.attention import class_attention
from whitebox_transformers.analysis.layers import evaluating, white_box_layers
from whitebox_transformers.evaluation.class_names import class_names
from whitebox_transformers.report.content import AttentionOfImage, Prediction
from whitebox_transformers.report.examples import Example

MOST_CLASSES = 5
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


def attention_words(model: PreTrainedModel) -> str:
    """What the attention maps of this model show."""
    scores = _BLACK_BOX_SCORES
    if model.config.model_type == "crate" and model.config.compression == "mssa":
        scores = _WHITE_BOX_SCORES
    pooled = getattr(model.config, "pooling", "cls") == "mean"
    return _TILES.replace("{scores}", scores) + (_MEAN_POOLING if pooled else "")


def attention_of(
    model: PreTrainedModel,
    control: PreTrainedModel,
    examples: Sequence[Example],
    pictures: Sequence[np.ndarray],
) -> list[AttentionOfImage]:
    """Class-token attention of every layer and head; nothing if the layers have no attention.

    Shown first is the layer that the paper shows: the last but one of a white box, the last of a
    black box.
    """
    layers = white_box_layers(model)
    if layers and layers[0].compress is None:
        return []
    depth = model.config.num_hidden_layers
    shown = max(depth - 2, 0) if layers else depth - 1
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
        for example, picture in zip(examples, pictures, strict=True)
    ]


def predictions_of(
    model: PreTrainedModel, examples: Sequence[Example], pictures: Sequence[np.ndarray]
) -> list[Prediction]:
    """The most probable classes of every image."""
    names = class_names(model)
    predictions = []
    with evaluating(model), torch.inference_mode():
        for example, picture in zip(examples, pictures, strict=True):
            logits = model(pixel_values=example.pixel_values.to(model.device)).logits
            shares = logits[0].float().softmax(-1).cpu()
            best = shares.topk(min(MOST_CLASSES, len(shares)))
            ranking = [
                (names[int(index)], float(share))
                for index, share in zip(best.indices, best.values, strict=True)
            ]
            predictions.append(Prediction(example.name, picture, ranking, example.truth))
    return predictions
