"""Features of patches are what attention compares, on the grid, at any resolution."""

from __future__ import annotations

import pytest
import torch
from tests.unit.analysis.tiny import images, tiny_crate, tiny_vit
from transformers import (
    DeiTConfig,
    DeiTModel,
    Dinov2Config,
    Dinov2Model,
    Dinov2WithRegistersConfig,
    Dinov2WithRegistersModel,
    SwinConfig,
    SwinModel,
    ViTConfig,
    ViTMAEConfig,
    ViTMAEModel,
    ViTModel,
)

from whitebox_transformers.analysis import class_attention, patch_features
from whitebox_transformers.errors import UserError

SMALL = {"hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 3, "num_channels": 2}
BLACK_BOXES = [
    (ViTModel, ViTConfig(image_size=16, patch_size=4, intermediate_size=24, **SMALL)),
    (DeiTModel, DeiTConfig(image_size=16, patch_size=4, intermediate_size=24, **SMALL)),
    (Dinov2Model, Dinov2Config(image_size=16, patch_size=4, **SMALL)),
    (
        ViTMAEModel,
        ViTMAEConfig(image_size=16, patch_size=4, intermediate_size=24, mask_ratio=0.0, **SMALL),
    ),
    (Dinov2WithRegistersModel, Dinov2WithRegistersConfig(image_size=16, patch_size=4, **SMALL)),
]


@pytest.mark.parametrize("size", [(16, 24), (32, 8), (20, 44)])
@pytest.mark.parametrize("facet", ["key", "query", "value"])
def test_a_white_box_has_its_projections(size, facet) -> None:
    model, pixel_values = tiny_crate(), torch.randn(2, 2, *size)
    features = patch_features(model, pixel_values, -2, facet)
    with torch.no_grad():
        z = model(pixel_values, output_z=True).z[1]
        compress = model.crate.stack.layers[1].compress
        u = compress.norm(z) @ compress.mssa.subspaces.weight.T
    assert features.shape == (2, size[0] // 4, size[1] // 4, 12)
    torch.testing.assert_close(features.flatten(1, 2), u[:, 1:])


def test_ordinary_attention_in_a_white_box_has_three_facets() -> None:
    model, pixel_values = tiny_crate(compression="attention"), images(1)
    with torch.no_grad():
        z = model(pixel_values, output_z=True).z[2]
        compress = model.crate.stack.layers[2].compress
        qkv = compress.norm(z) @ compress.mssa.qkv.weight.T
    for index, facet in enumerate(("query", "key", "value")):
        features = patch_features(model, pixel_values, -1, facet).flatten(1, 2)
        torch.testing.assert_close(features, qkv[:, 1:, 12 * index : 12 * (index + 1)])
    everything = patch_features(model, pixel_values, -1, "all").flatten(1, 2)
    torch.testing.assert_close(everything, qkv[:, 1:])


@pytest.mark.parametrize(
    ("kind", "config"), BLACK_BOXES, ids=["vit", "deit", "dinov2", "mae", "registers"]
)
@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_a_black_box_has_its_keys_at_any_resolution(kind, config, implementation) -> None:
    torch.manual_seed(0)
    model, pixel_values = kind(config).eval(), torch.randn(2, 2, 20, 28)
    model.set_attn_implementation(implementation)
    seen = []
    name = next(n for n, _ in model.named_modules() if "1.attention" in n and n.endswith("k_proj"))
    with model.get_submodule(name).register_forward_hook(lambda *given: seen.append(given[2])):
        features = patch_features(model, pixel_values)
    torch.testing.assert_close(features.flatten(1, 2), seen[0][:, -35:])
    assert model.config._attn_implementation == implementation
    attention = class_attention(model, pixel_values, [1])[1]
    assert attention.shape == (2, 3, 5, 7)
    assert ((attention.sum((-2, -1)) > 0) & (attention.sum((-2, -1)) < 1)).all()


def test_a_vit_is_read_at_its_own_size_as_always() -> None:
    model, pixel_values = tiny_vit(), images(1)
    model.set_attn_implementation("eager")
    with torch.no_grad():
        recorded = model(pixel_values, output_attentions=True).attentions[1]
    maps = class_attention(model, pixel_values, [1])[1]
    torch.testing.assert_close(maps.flatten(-2), recorded[:, :, 0, 1:])


def test_impossible_requests_are_named() -> None:
    with pytest.raises(UserError, match="facet 'keys'"):
        patch_features(tiny_crate(), images(1), facet="keys")
    with pytest.raises(UserError, match="layer 7 does not exist"):
        patch_features(tiny_crate(), images(1), 7)
    swin = SwinModel(
        SwinConfig(image_size=32, patch_size=4, embed_dim=8, depths=[1], num_heads=[2])
    )
    with pytest.raises(UserError, match="49 tokens attend to each other in a grid of 8 x 8"):
        patch_features(swin, torch.randn(1, 3, 32, 32))
