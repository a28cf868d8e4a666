"""Folded models: the same outputs from fewer products, for inference only."""

import copy
from collections.abc import Iterable
from typing import cast

import torch
from torch import nn
from transformers.utils.generic import can_return_tuple

from .block import CrateLayer
from .folded_layers import FoldedLayer
from .masks import bidirectional_mask
from .modeling_crate import (
    CrateForImageClassification,
    CrateImageClassifierOutput,
    CratePreTrainedModel,
)

HOW_TO_GO_ON = (
    "A folded model is for inference only: its matrices are products of the trained ones. "
    "Go on with the model that was passed to fold(); fold() left it unchanged."
)


class FoldedModelError(RuntimeError):
    """A folded model was asked to train, save or record; the message says how to go on."""


class FoldedCrateForImageClassification(CratePreTrainedModel):
    """A classifier folded by :func:`fold`: same logits, fewer operations, inference only.

    With class-token pooling the last layer computes the class token alone, since nothing else
    of it is read.
    """

    def __init__(self, model: CrateForImageClassification):
        super().__init__(copy.deepcopy(model.config))
        self.embeddings = copy.deepcopy(model.crate.embeddings)
        layers = cast(Iterable[CrateLayer], copy.deepcopy(model.crate.stack.layers))
        self.layers = nn.ModuleList(FoldedLayer(layer, self.config) for layer in layers)
        self.classifier = copy.deepcopy(model.classifier)
        self.requires_grad_(False)
        super().train(False)

    @can_return_tuple
    def forward(
        self, pixel_values: torch.Tensor, labels: torch.Tensor | None = None, **kwargs
    ) -> CrateImageClassifierOutput:
        """Score images, (B, channels, height, width) to logits (B, C).

        Raises:
            FoldedModelError: Labels were given, or a recording was asked for.
        """
        if labels is not None:
            raise FoldedModelError(f"labels were given to a folded model. {HOW_TO_GO_ON}")
        asked = sorted(key for key, on in kwargs.items() if key.startswith("output_") and on)
        if asked:
            raise FoldedModelError(f"{', '.join(asked)} asked of a folded model. {HOW_TO_GO_ON}")
        by_class_token = self.config.pooling == "cls"
        z = self.embeddings(pixel_values)
        mask = bidirectional_mask(self.config, z)
        for layer in self.layers[:-1]:
            z = layer(z, mask)
        z = self.layers[-1](z, mask, first_token_only=by_class_token)
        feature = z[:, 0] if by_class_token else z.mean(dim=1)
        return CrateImageClassifierOutput(logits=self.classifier(feature))

    def train(self, mode: bool = True):
        """Stay in evaluation mode; asking for training is an error."""
        if mode:
            raise FoldedModelError(f"train() was called on a folded model. {HOW_TO_GO_ON}")
        return super().train(False)

    def requires_grad_(self, requires_grad: bool = True):
        """Stay frozen; asking for gradients of the parameters is an error."""
        if requires_grad:
            raise FoldedModelError(f"requires_grad_() on a folded model. {HOW_TO_GO_ON}")
        return super().requires_grad_(False)

    def save_pretrained(self, *args, **kwargs):
        """Refused: the folded matrices cannot be unfolded again."""
        raise FoldedModelError(f"save_pretrained() of a folded model. {HOW_TO_GO_ON}")

    # transformers makes this method an attribute, which no method can override by its type.
    def push_to_hub(self, *args, **kwargs):  # pyright: ignore[reportIncompatibleVariableOverride]
        """Refused, as saving is."""
        raise FoldedModelError(f"push_to_hub() of a folded model. {HOW_TO_GO_ON}")


@torch.no_grad()
def fold(
    model: CrateForImageClassification, dtype: torch.dtype | None = None
) -> FoldedCrateForImageClassification:
    """A copy of a classifier for inference: fewer products, same logits.

    Args:
        model: The classifier; left unchanged.
        dtype: Type of the folded weights, e.g. ``torch.bfloat16``; by default the model's own.

    Returns:
        The folded model, frozen, in evaluation mode, on the model's device.

    Raises:
        FoldedModelError: The model is folded already.
        TypeError: Not a CRATE image classifier.
    """
    if isinstance(model, FoldedCrateForImageClassification):
        raise FoldedModelError(f"fold() was given a folded model. {HOW_TO_GO_ON}")
    if not isinstance(model, CrateForImageClassification):
        raise TypeError(
            f"fold() was given {type(model).__name__}; it folds CrateForImageClassification."
        )
    folded = FoldedCrateForImageClassification(model)
    nn.Module.to(folded, model.device, dtype or model.dtype)
    return folded


__all__ = ["FoldedCrateForImageClassification", "FoldedModelError", "fold"]
