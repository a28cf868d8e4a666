"""Models small enough to inspect in milliseconds."""

from __future__ import annotations

import torch
from transformers import ViTConfig, ViTForImageClassification

from whitebox_transformers import CrateConfig, CrateForImageClassification

SIZE = (16, 24)  # not square: 4 x 6 patches, 25 tokens with the class token


def tiny_crate(seed: int = 0, **changes) -> CrateForImageClassification:
    fields = {
        "image_size": list(SIZE),
        "patch_size": 4,
        "num_channels": 2,
        "hidden_size": 12,
        "num_hidden_layers": 3,
        "num_attention_heads": 3,
        "num_labels": 5,
    }
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = CrateForImageClassification(CrateConfig(**fields | changes)).eval()
        for name, parameter in model.named_parameters():
            if "norm" in name:  # affine parts that differ from one and zero
                parameter.data.add_(0.2 * torch.randn_like(parameter))
    return model


def tiny_vit() -> ViTForImageClassification:
    config = ViTConfig(
        image_size=list(SIZE),
        patch_size=4,
        num_channels=2,
        hidden_size=12,
        num_hidden_layers=2,
        num_attention_heads=3,
        intermediate_size=24,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return ViTForImageClassification(config).eval()


def images(count: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(count, 2, *SIZE, generator=torch.Generator().manual_seed(seed))
