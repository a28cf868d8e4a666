"""The systems of the library, each beside Hugging Face's black box of the same width and depth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

import torch
from torch import Tensor
from transformers import (
    BertConfig,
    BertForMaskedLM,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedModel,
    ViTConfig,
    ViTForImageClassification,
    ViTMAEConfig,
    ViTMAEForPreTraining,
)

from whitebox_transformers.crate import (
    CrateBertConfig,
    CrateBertForMaskedLM,
    CrateConfig,
    CrateDinoConfig,
    CrateDinoForPreTraining,
    CrateForImageClassification,
    CrateGPTConfig,
    CrateGPTForCausalLM,
    CrateMAEConfig,
    CrateMAEForPreTraining,
    ViTDinoConfig,
    ViTDinoForPreTraining,
)


@dataclass(frozen=True)
class Size:
    """What cost depends on."""

    width: int = 768
    depth: int = 12
    heads: int = 12
    side: int = 14
    """Patches along a side of an image, whose tokens are ``side ** 2`` and the class token."""
    length: int = 256
    """Tokens of a text."""
    batch: int = 8
    patch: int = 16
    classes: int = 1000
    vocabulary: int = 50304
    prototypes: int = 4096

    @classmethod
    def of(cls, settings: Any) -> Size:
        """What a benchmark's settings say of it; the rest is as ever."""
        names = [field.name for field in fields(cls) if hasattr(settings, field.name)]
        return cls(**{name: getattr(settings, name) for name in names})

    @property
    def pixels(self) -> int:
        """Height and width of an image."""
        return self.side * self.patch


@dataclass
class Pair:
    """A white box and a black box with what both read."""

    white: PreTrainedModel
    black: PreTrainedModel
    inputs: dict[str, Tensor]
    """Of a forward pass for inference."""
    training: dict[str, Tensor]
    """Of a training step; the models return a loss."""
    others: dict[str, PreTrainedModel] = field(default_factory=dict)
    """Further white boxes, by what they are called."""
    used: Callable[[PreTrainedModel], PreTrainedModel] = lambda model: model
    """The part of a model that serves in use."""


def image(size: Size) -> Pair:
    shape = _shape(size) | {"image_size": size.pixels, "patch_size": size.patch}
    shape |= {"num_labels": size.classes}
    pixels = torch.randn(size.batch, 3, size.pixels, size.pixels)
    return Pair(
        CrateForImageClassification(CrateConfig(**shape)),
        ViTForImageClassification(ViTConfig(**shape, intermediate_size=4 * size.width)),
        {"pixel_values": pixels},
        {"pixel_values": pixels, "labels": torch.randint(size.classes, (size.batch,))},
    )


def mae(size: Size) -> Pair:
    """In MAE's flow, where the encoder sees the visible patches alone; the published flow beside.

    The decoder is as wide and as deep as the encoder, in both boxes.
    """
    shape = _shape(size) | {"image_size": size.pixels, "patch_size": size.patch}
    decoder = {
        "decoder_hidden_size": size.width,
        "decoder_num_hidden_layers": size.depth,
        "decoder_num_attention_heads": size.heads,
        "decoder_intermediate_size": 4 * size.width,
    }
    inputs = {
        "pixel_values": torch.randn(size.batch, 3, size.pixels, size.pixels),
        "noise": torch.rand(size.batch, size.side**2),
    }
    black = ViTMAEConfig(**shape, **decoder, intermediate_size=4 * size.width)
    return Pair(
        CrateMAEForPreTraining(CrateMAEConfig(**shape, mask_tokens="decoder")),
        ViTMAEForPreTraining(black),
        inputs,
        inputs,
        {"crate, published flow": CrateMAEForPreTraining(CrateMAEConfig(**shape))},
    )


def dino(size: Size) -> Pair:
    """Two global and two local views in training; the teacher's encoder in use."""
    shape = _shape(size) | {"image_size": size.pixels, "patch_size": size.patch}
    shape |= {"num_prototypes": size.prototypes}
    local = max(1, size.side * 3 // 7) * size.patch
    views = {
        "pixel_values": torch.randn(size.batch, 2, 3, size.pixels, size.pixels),
        "local_pixel_values": torch.randn(size.batch, 2, 3, local, local),
    }
    black = ViTDinoConfig(**shape, intermediate_size=4 * size.width)
    return Pair(
        CrateDinoForPreTraining(CrateDinoConfig(**shape)),
        ViTDinoForPreTraining(black),
        {"pixel_values": views["pixel_values"][:, 0]},
        views,
        used=lambda model: model.base_model,
    )


def bert(size: Size) -> Pair:
    shape = _shape(size) | {"vocab_size": size.vocabulary}
    ids = torch.randint(5, size.vocabulary, (size.batch, size.length))
    hidden = torch.rand(ids.shape) < 0.15
    hidden[:, 0] = True
    black = BertConfig(
        **shape, intermediate_size=4 * size.width, max_position_embeddings=size.length
    )
    return Pair(
        CrateBertForMaskedLM(CrateBertConfig(**shape, max_position_embeddings=size.length + 2)),
        BertForMaskedLM(black),
        {"input_ids": ids},
        {"input_ids": ids, "labels": ids.masked_fill(~hidden, -100)},
    )


def gpt(size: Size) -> Pair:
    ids = torch.randint(size.vocabulary, (size.batch, size.length))
    white = CrateGPTConfig(
        **_shape(size), vocab_size=size.vocabulary, max_position_embeddings=size.length
    )
    black = GPT2Config(
        vocab_size=size.vocabulary,
        n_positions=size.length,
        n_embd=size.width,
        n_layer=size.depth,
        n_head=size.heads,
        bos_token_id=None,
        eos_token_id=None,
    )
    return Pair(
        CrateGPTForCausalLM(white),
        GPT2LMHeadModel(black),
        {"input_ids": ids},
        {"input_ids": ids, "labels": ids},
    )


def _shape(size: Size) -> dict:
    return {
        "hidden_size": size.width,
        "num_hidden_layers": size.depth,
        "num_attention_heads": size.heads,
    }


SYSTEMS: dict[str, Callable[[Size], Pair]] = {
    "image": image,
    "mae": mae,
    "dino": dino,
    "bert": bert,
    "gpt": gpt,
}
BLACK_BOXES = {"image": "vit", "mae": "vit-mae", "dino": "vit", "bert": "bert", "gpt": "gpt2"}


def pair(system: str, size: Size, device: torch.device) -> Pair:
    """Both models with random weights, in evaluation mode, and their inputs, on a device."""
    torch.manual_seed(0)
    found = SYSTEMS[system](size)
    for model in (found.white, found.black, *found.others.values()):
        model.eval().to(device)
    for tensors in (found.inputs, found.training):
        tensors.update({name: tensor.to(device) for name, tensor in tensors.items()})
    return found
