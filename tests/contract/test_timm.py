"""timm: presets by name, scores as the Hugging Face model gives them, and what timm users call."""

from __future__ import annotations

import pytest
import torch
from tests.contract.tiny import tiny_images, tiny_model

timm = pytest.importorskip("timm")
optim = pytest.importorskip("timm.optim")

from whitebox_transformers import timm_models  # noqa: E402
from whitebox_transformers.crate import PRESETS  # noqa: E402

SMALL = {"img_size": (8, 12), "patch_size": 4, "num_hidden_layers": 3, "num_classes": 5}


def small(name="crate-tiny-patch8", **overrides):
    torch.manual_seed(0)
    return timm.create_model(name, **SMALL | overrides).eval()


@pytest.fixture
def images():
    return torch.randn(2, 3, 8, 12, generator=torch.Generator().manual_seed(0))


def test_every_preset_is_registered_under_both_spellings():
    listed = set(timm.list_models("crate*"))
    assert listed == set(PRESETS) | {name.replace("-", "_") for name in PRESETS}


def test_parameters_are_counted_as_published():
    with torch.device("meta"):
        model = timm.create_model("crate_tiny")
    assert sum(p.numel() for p in model.parameters()) == 6_090_856


def test_scores_are_the_hugging_face_models(tmp_path):
    model = tiny_model()
    model.save_pretrained(tmp_path)
    same = timm.create_model(
        "crate-tiny",
        checkpoint_path=str(tmp_path / "model.safetensors"),
        img_size=(8, 12),
        num_classes=5,
        **{key: getattr(model.config, key) for key in ("patch_size", "hidden_size", "head_dim")},
        num_hidden_layers=3,
        num_attention_heads=3,
    ).eval()
    images = tiny_images(model.config)
    torch.testing.assert_close(same(images), model(images).logits)


def test_features_then_head_are_the_forward_pass(images):
    model = small()
    tokens = model.forward_features(images)
    assert tokens.shape == (2, 7, 192)
    torch.testing.assert_close(model.forward_head(tokens), model(images))
    feature = model.forward_head(tokens, pre_logits=True)
    assert feature.shape == (2, model.num_features)
    torch.testing.assert_close(model.get_classifier()(feature), model(images))


def test_other_classes_and_pooling(images):
    model = small()
    before = model.forward_head(model.forward_features(images), pre_logits=True)
    model.reset_classifier(0)
    torch.testing.assert_close(model(images), before)
    assert torch.equal(small(num_classes=0)(images), before)
    model.reset_classifier(11, "avg")
    assert model(images).shape == (2, 11)
    assert model.num_classes == 11
    mean = model.classifier.norm(model.forward_features(images).mean(1))
    torch.testing.assert_close(model(images), model.get_classifier()(mean))
    assert torch.equal(
        small(global_pool="avg").crate.pool(images.flatten(2)), images.flatten(2).mean(1)
    )


def test_a_projection_in_front_of_the_classes(images):
    model = small(projection_size=6)
    assert model.head_hidden_size == 6
    model.reset_classifier(2)
    assert model(images).shape == (2, 2)


def test_feature_maps(images):
    model = small()
    wanted = [model.crate(images, output_z=True).z[i][:, 1:] for i in (1, 2)]
    maps = model.forward_intermediates(images, [0, 1], stop_early=True, intermediates_only=True)
    for found, tokens in zip(maps, wanted, strict=True):
        assert found.shape == (2, 192, 2, 3)
        torch.testing.assert_close(found.flatten(2).mT, tokens)
    last, pairs = model.forward_intermediates(
        images, 1, return_prefix_tokens=True, output_fmt="NLC"
    )
    torch.testing.assert_close(torch.cat(pairs[0][::-1], dim=1), last)

    features = small(features_only=True, out_indices=(0, 1))
    assert features.feature_info.channels() == [192, 192]
    assert features.feature_info.reduction() == [4, 4]
    for found, same in zip(features(images), maps, strict=True):
        torch.testing.assert_close(found, same)
    assert len(features.model.crate.stack.layers) == 2


def test_preprocessing_is_the_authors():
    config = timm.data.resolve_model_data_config(timm.create_model("crate_tiny_patch8"))
    assert config["input_size"] == (3, 224, 224)
    assert config["mean"] == (0.485, 0.456, 0.406)
    assert config["crop_pct"] == 224 / 256


def test_optimiser_groups_and_checkpointing(images):
    model = small().train()
    plain = gradients(model, images)
    model.set_grad_checkpointing()
    for found, same in zip(gradients(model, images), plain, strict=True):
        torch.testing.assert_close(found, same)
    assert model.no_weight_decay() <= {name for name, _ in model.named_parameters()}
    groups = optim.param_groups_layer_decay(model, layer_decay=0.5)
    assert len({group["lr_scale"] for group in groups}) == 5  # stem, three layers, head


def test_wrong_requests_are_named():
    with pytest.raises(ValueError, match="global_pool is 'max'"):
        small(global_pool="max")
    with pytest.raises(ValueError, match="step_sise"):
        small(step_sise=0.2)
    with pytest.raises(ValueError, match="output_fmt"):
        small().forward_intermediates(torch.zeros(1, 3, 8, 12), output_fmt="NHWC")
    with pytest.raises(RuntimeError, match="pretrained"):
        small(pretrained=True)
    assert timm_models.__all__ == ["TimmCrate"]


def gradients(model, images):
    model.zero_grad()
    model(images).logsumexp(-1).sum().backward()
    return [parameter.grad.clone() for parameter in model.parameters()]
