"""Sizes of the published models, heads and pooling, initialisation, dropout, feature maps."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from tests.contract.tiny import VARIANTS, tiny_config, tiny_images, tiny_model
from torch import nn

from whitebox_transformers.crate import (
    PRESETS,
    CrateBackbone,
    CrateConfig,
    CrateForImageClassification,
    CrateModel,
)

# arXiv 2311.13110 at 1000 classes, arXiv 2308.16271 at 21,841, and the number of parameters that
# the architecture of arXiv 2405.20299 has at 1000.
PUBLISHED_PARAMETERS = {
    "crate-tiny": (1000, 6_090_856),
    "crate-small": (1000, 13_116_328),
    "crate-base": (1000, 22_796_008),
    "crate-large": (1000, 77_641_192),
    "crate-tiny-patch8": (21_841, 5_743_057),
    "crate-small-patch8": (21_841, 14_118_097),
    "crate-base-patch8": (21_841, 38_830_801),
    "crate-alpha-base": (1000, 72_328_936),
    "crate-alpha-large-patch14": (1000, 253_650_920),
}
PARAMETERS_WITHOUT_HEAD = {
    "crate-tiny": 5_705_088,
    "crate-small": 12_538_176,
    "crate-base": 22_025_472,
    "crate-large": 76_614_144,
    "crate-tiny-patch8": 1_527_360,
    "crate-small-patch8": 5_708_544,
    "crate-base-patch8": 22_033_536,
}
PARAMETERS_PER_LAYER = {
    "crate-tiny": 444_288,
    "crate-small": 998_208,
    "crate-base": 1_773_312,
    "crate-large": 3_150_848,
    "crate-alpha-base": 5_901_312,
}


def on_meta(name: str, labels: int = 1000) -> CrateForImageClassification:
    with torch.device("meta"):
        return CrateForImageClassification(CrateConfig.from_preset(name, num_labels=labels))


def trainable(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


@pytest.mark.parametrize("name", PUBLISHED_PARAMETERS)
def test_presets_have_the_published_number_of_parameters(name: str) -> None:
    labels, expected = PUBLISHED_PARAMETERS[name]
    assert trainable(on_meta(name, labels)) == expected


@pytest.mark.parametrize("name", PARAMETERS_WITHOUT_HEAD)
def test_presets_without_head_have_the_published_number(name: str) -> None:
    assert trainable(on_meta(name).crate) == PARAMETERS_WITHOUT_HEAD[name]


@pytest.mark.parametrize("name", PARAMETERS_PER_LAYER)
def test_a_layer_has_the_published_number(name: str) -> None:
    layers = on_meta(name).crate.stack.layers
    assert {trainable(layer) for layer in layers} == {PARAMETERS_PER_LAYER[name]}


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_runs_on_the_meta_device(name: str) -> None:
    model = on_meta(name, labels=7)
    size = model.config.image_size
    logits = model(torch.empty(2, 3, size, size, device="meta")).logits
    assert logits.shape == (2, 7)


def test_no_parameter_is_without_a_gradient() -> None:
    """Distributed training refuses parameters that the loss does not reach."""
    for variant in VARIANTS:
        model = tiny_model(variant).train()
        model(tiny_images(model.config), labels=torch.tensor([0, 1])).loss.backward()
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None, (variant, name)
            assert torch.isfinite(parameter.grad).all(), (variant, name)


def test_the_loss_is_the_cross_entropy_of_the_logits() -> None:
    model = tiny_model()
    labels = torch.tensor([4, 0, 2])
    outputs = model(tiny_images(model.config, batch=3), labels=labels)
    torch.testing.assert_close(outputs.loss, F.cross_entropy(outputs.logits, labels))


@torch.no_grad()
def test_pooling_takes_the_class_token_or_the_mean_that_includes_it() -> None:
    model = tiny_model()
    images = tiny_images(model.config)
    encoded = model.crate(images)
    assert torch.equal(encoded.pooler_output, encoded.last_hidden_state[:, 0])
    model.config.pooling = "mean"
    mean = encoded.last_hidden_state.sum(dim=1) / (1 + 2 * 3)
    torch.testing.assert_close(model.crate(images).pooler_output, mean)


@torch.no_grad()
def test_the_classifier_is_a_norm_and_linear_maps() -> None:
    model = tiny_model("projection")
    images = tiny_images(model.config)
    head = model.classifier
    feature = F.layer_norm(model.crate(images).pooler_output, (12,), eps=1e-5)
    feature = feature * head.norm.weight + head.norm.bias
    feature = feature @ head.projection.weight.T + head.projection.bias
    expected = feature @ head.linear.weight.T + head.linear.bias
    torch.testing.assert_close(model(images).logits, expected)


@torch.no_grad()
def test_patches_may_be_shuffled_along_with_their_positions() -> None:
    """The layers see a set: moving patches and positions together moves the tokens, no more."""
    model = tiny_model(patch_embedding="linear", image_size=[8, 8])
    embeddings = model.crate.embeddings
    z = embeddings(tiny_images(model.config))
    order = torch.tensor([0, 3, 1, 4, 2])
    shuffled = model.crate.stack(z[:, order])
    torch.testing.assert_close(shuffled, model.crate.stack(z)[:, order], rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_an_image_does_not_depend_on_its_batch() -> None:
    for variant in ("published", "theory", "alpha", "majorizer"):
        model = tiny_model(variant)
        images = tiny_images(model.config, batch=5)
        alone = torch.cat([model(image[None]).logits for image in images])
        torch.testing.assert_close(alone, model(images).logits, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_published_tokens_are_non_negative() -> None:
    model = tiny_model()
    outputs = model(tiny_images(model.config), output_z=True)
    assert all((z >= 0).all() for z in outputs.z[1:])


@pytest.mark.parametrize("field", ["hidden_dropout_prob", "attention_probs_dropout_prob"])
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@torch.no_grad()
def test_dropout_acts_in_training_only(field: str, attention: str) -> None:
    model = tiny_model(**{field: 0.4})
    model.set_attn_implementation(attention)
    plain = tiny_model()
    plain.load_state_dict(model.state_dict())
    images = tiny_images(model.config)
    torch.testing.assert_close(model(images).logits, plain(images).logits)
    model.train()
    assert not torch.allclose(model(images).logits, model(images).logits)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@torch.no_grad()
def test_half_precision_stays_near_single(dtype: torch.dtype) -> None:
    model = tiny_model(hidden_size=48)
    images = tiny_images(model.config, batch=8)
    reference = model(images).logits
    half = model.to(dtype)(images.to(dtype)).logits
    assert half.dtype == dtype
    assert (half.float() - reference).abs().max() < 0.05 * reference.abs().max()


@pytest.mark.parametrize("variant", ["published", "theory", "alpha", "majorizer", "black-box"])
def test_autocast_trains_with_finite_gradients(variant: str) -> None:
    model = tiny_model(variant).train()
    with torch.autocast("cpu", torch.bfloat16):
        outputs = model(tiny_images(model.config), labels=torch.tensor([1, 3]))
    assert outputs.logits.dtype == torch.bfloat16
    outputs.loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad.dtype == torch.float32
        assert torch.isfinite(parameter.grad).all(), name


def test_fresh_weights_have_the_authors_spread() -> None:
    torch.manual_seed(0)
    model = CrateForImageClassification(tiny_config(hidden_size=96, image_size=[32, 32]))
    layer = model.crate.stack.layers[0]
    embeddings = model.crate.embeddings
    for tensor, std in (
        (layer.compress.mssa.subspaces.weight, (3 * 96) ** -0.5),
        (layer.compress.mssa.output.weight, (3 * 96) ** -0.5),
        (layer.sparsify.ista.dictionary, (2 / 96) ** 0.5),
        (embeddings.position_embeddings, 1.0),
    ):
        assert tensor.std().item() == pytest.approx(std, rel=0.05)
    assert layer.compress.norm.weight.eq(1).all()
    assert layer.compress.norm.bias.eq(0).all()
    largest = layer.sparsify.ista.dictionary.abs().max().item()
    assert largest <= math.sqrt(6 / 96)


@pytest.mark.parametrize("variant", ["published", "grey-tall-patches"])
@torch.no_grad()
def test_feature_maps_are_the_chosen_layers_on_the_patch_grid(variant: str) -> None:
    encoder: CrateModel = tiny_model(variant).crate
    backbone = CrateBackbone(tiny_config(variant, out_features=["stem", "stage1", "stage3"])).eval()
    backbone.crate.load_state_dict(encoder.state_dict())
    images = tiny_images(encoder.config)
    rows, columns = encoder.config.grid_size
    z = encoder(images, output_z=True).z
    maps = backbone(images).feature_maps
    assert len(maps) == 3
    assert backbone.channels == [12, 12, 12]
    for feature_map, tokens in zip(maps, (z[0], z[1], z[3]), strict=True):
        assert feature_map.shape == (2, 12, rows, columns)
        for row in range(rows):
            for column in range(columns):
                token = tokens[:, 1 + row * columns + column]
                torch.testing.assert_close(feature_map[:, :, row, column], token)


@torch.no_grad()
def test_feature_maps_follow_the_size_of_the_image() -> None:
    backbone = CrateBackbone(tiny_config()).eval()
    (feature_map,) = backbone(torch.randn(1, 3, 20, 4)).feature_maps
    assert feature_map.shape == (1, 12, 5, 1)
    outputs = backbone(torch.randn(1, 3, 8, 12), output_hidden_states=True, output_attentions=True)
    assert len(outputs.hidden_states) == 4
    assert len(outputs.attentions) == 3
    assert backbone(torch.randn(1, 3, 8, 12)).hidden_states is None


@torch.no_grad()
def test_what_is_not_a_number_does_not_spread_to_other_images() -> None:
    model = tiny_model()
    images = tiny_images(model.config, batch=2)
    clean = model(images).logits
    images[0, 0, 0, 0] = torch.nan
    logits = model(images).logits
    assert logits[0].isnan().all()
    torch.testing.assert_close(logits[1], clean[1])
