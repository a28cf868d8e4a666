"""Folding for inference: a layer's fixed linear maps become the fewest possible products.

Legend: B batch, N tokens, D width, K heads, P head width.

In ISTA, ``v -> v + eta (D^T v - D^T D v) - eta lambda`` is affine and v is a LayerNorm's affine
output, so both are one ``Linear``; the same holds for LayerNorm and the subspace projection. A
folded published layer costs ``2 N (3 D^2 + 2 N D)`` operations. Products of weights are taken in
float64, once.
"""

import copy
from collections.abc import Iterable
from typing import cast

import torch
import torch.nn.functional as F
from torch import nn
from transformers.utils.generic import can_return_tuple

from .block import Compress, CrateLayer, Sparsify
from .ista import ISTA, PROXIMAL_MAPS, Majorizer, gram_operator
from .modeling_crate import (
    CrateForImageClassification,
    CrateImageClassifierOutput,
    CratePreTrainedModel,
)
from .mssa import MSSA, FixedOutput, TiedOutput, attend

HOW_TO_GO_ON = (
    "A folded model is for inference only: its matrices are products of the trained ones. "
    "Go on with the model that was passed to fold(); fold() left it unchanged."
)


class FoldedModelError(RuntimeError):
    """A folded model was asked to train, save or record; the message says how to go on."""


def _linear(weight: torch.Tensor, bias: torch.Tensor | None) -> nn.Linear:
    """A frozen Linear of weight (out, in) and bias (out,)."""
    out_features, in_features = weight.shape
    linear = nn.Linear(in_features, out_features, bias=bias is not None, device="meta")
    linear.weight = nn.Parameter(weight.contiguous(), requires_grad=False)
    if bias is not None:
        linear.bias = nn.Parameter(bias.contiguous(), requires_grad=False)
    return linear


def _after_norm(norm: nn.LayerNorm, weight: torch.Tensor, bias: torch.Tensor | None = None):
    """Fold LayerNorm's scale and shift into the linear map (out, in) that follows it."""
    shift = weight @ norm.bias.double()
    return _linear(weight * norm.weight.double(), shift if bias is None else shift + bias)


def _plain_norm(z: torch.Tensor, eps: float) -> torch.Tensor:
    return F.layer_norm(z, z.shape[-1:], eps=eps)


def _output_map(mssa: MSSA, gain: float) -> nn.Linear | None:
    """The output matrix of MSSA with the step's gain in it; ``None`` for a bare identity."""
    subspaces = mssa.subspaces.effective_weight().double()
    bias = None
    if isinstance(mssa.output, TiedOutput):
        weight = subspaces if mssa.output.transpose else subspaces.T
    elif isinstance(mssa.output, nn.Linear | FixedOutput):
        weight = mssa.output.weight.double()
        bias = getattr(mssa.output, "bias", None)
    elif gain == 1.0:
        return None
    else:
        weight = torch.eye(len(subspaces), dtype=torch.float64, device=subspaces.device)
    return _linear(gain * weight, None if bias is None else gain * bias.double())


class FoldedCompress(nn.Module):
    """:class:`Compress` with LayerNorm's affine part and the gain folded in.

    Shape: (B, N, D) to (B, N, D), or (B, 1, D) when only the class token is asked for.
    """

    is_causal = False

    def __init__(self, compress: Compress, config):
        super().__init__()
        mssa = compress.mssa
        self.config = config
        self.eps, self.scaling = compress.norm.eps, mssa.scaling
        self.attention_dropout = 0.0
        self.head_dim = mssa.subspaces.head_dim
        self.retention = compress.retention
        self.subspaces = _after_norm(compress.norm, mssa.subspaces.effective_weight().double())
        self.output = _output_map(mssa, compress.gain)
        self.skip_norm = copy.deepcopy(compress.norm) if compress.normed_skip else None

    def forward(self, z: torch.Tensor, class_token_only: bool) -> torch.Tensor:
        u = self.subspaces(_plain_norm(z, self.eps))
        w = u.unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        query, skip = (w[:, :, :1], z[:, :1]) if class_token_only else (w, z)
        step = attend(self, query, w, w, None).flatten(-2)
        if self.output is not None:
            step = self.output(step)
        if self.skip_norm is not None:
            skip = self.skip_norm(skip)
        return step + (skip if self.retention == 1.0 else self.retention * skip)


class FoldedSparsify(nn.Module):
    """:class:`Sparsify` on a square dictionary as one Linear and the proximal map.

    Shape: (B, N, D) to (B, N, D).
    """

    def __init__(self, sparsify: Sparsify):
        super().__init__()
        block = sparsify.ista
        operator = gram_operator(block.dictionary.double(), block.step_size)
        level = float(block.step_size * block.threshold)
        self.eps = sparsify.norm.eps
        self.proximal = PROXIMAL_MAPS[block.activation]
        # Under relu the threshold is one more bias; soft thresholding needs it apart.
        rectified = block.activation == "relu"
        bias = torch.full_like(operator[0], -level) if rectified else None
        self.linear = _after_norm(sparsify.norm, operator.T, bias)
        self.level = None if rectified else level

    def forward(self, z_half: torch.Tensor) -> torch.Tensor:
        moved = self.linear(_plain_norm(z_half, self.eps))
        return moved.relu_() if self.level is None else self.proximal(moved, self.level)


class FoldedLayer(nn.Module):
    """One layer for inference; parts that are not affine plus threshold stay as they are."""

    def __init__(self, layer: CrateLayer, config):
        super().__init__()
        self.compress, self.sparsify = layer.compress, layer.sparsify
        # The majorizer's step depends on the number of tokens, so it needs all of them.
        self.tokenwise = layer.sparsify is None or not isinstance(layer.sparsify.ista, Majorizer)
        if layer.compress is not None and isinstance(layer.compress.mssa, MSSA):
            self.compress = FoldedCompress(layer.compress, config)
        if layer.sparsify is not None and isinstance(layer.sparsify.ista, ISTA):
            self.sparsify = FoldedSparsify(layer.sparsify)

    def forward(self, z: torch.Tensor, class_token_only: bool = False) -> torch.Tensor:
        class_token_only = class_token_only and self.tokenwise
        if isinstance(self.compress, FoldedCompress):
            z = self.compress(z, class_token_only)
        elif self.compress is not None:
            z = self.compress(z)
        if class_token_only:
            z = z[:, :1]
        return z if self.sparsify is None else self.sparsify(z)


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
        for layer in self.layers[:-1]:
            z = layer(z)
        z = self.layers[-1](z, class_token_only=by_class_token)
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
