"""Small models that teach themselves, of both backbones."""

from __future__ import annotations

import torch

from whitebox_transformers.crate import (
    CrateDinoConfig,
    CrateDinoForPreTraining,
    ViTDinoConfig,
    ViTDinoForPreTraining,
)

SIZES = {"image_size": 8, "patch_size": 4, "hidden_size": 12, "num_hidden_layers": 2,
         "num_attention_heads": 3}  # fmt: skip
HEAD = {"head_hidden_size": 16, "head_bottleneck_size": 6}
KINDS = {
    "crate": (CrateDinoConfig, CrateDinoForPreTraining, {}),
    "vit": (ViTDinoConfig, ViTDinoForPreTraining, {"intermediate_size": 16}),
}
OBJECTIVES = {
    "dino": {"num_prototypes": 20},
    "simdino": {"objective": "simdino", "rate_precision": 0.7, "rate_weight": 0.2},
}


def tiny_dino(kind: str = "crate", objective: str = "dino", **overrides):
    """A model in training mode whose teacher and centre have moved away from their start."""
    torch.manual_seed(0)
    config, model, extra = KINDS[kind]
    made = model(config(**SIZES, **HEAD, **extra, **OBJECTIVES[objective], **overrides))
    with torch.no_grad():
        for tensors in (made.base_model.parameters(), made.head.parameters()):
            for tensor in tensors:
                tensor.add_(0.1 * torch.randn_like(tensor))
        if made.centre is not None:
            made.centre.mean.normal_(std=0.1)
    return made.train()


def tiny_views(images: int = 3, local: int = 4, seed: int = 0):
    """Global views (images, 2, 3, 8, 8) and local ones (images, local, 3, 4, 4)."""
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randn(images, 2, 3, 8, 8, generator=generator),
        torch.randn(images, local, 3, 4, 4, generator=generator),
    )
