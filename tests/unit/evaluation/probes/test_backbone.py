"""Features are what the model computes, pooled as asked, for the family and for ViT."""

from __future__ import annotations

import pytest
import torch
from tests.contract.tiny import tiny_images, tiny_model
from transformers import (
    ViTConfig,
    ViTForImageClassification,
    ViTImageProcessor,
    ViTMAEConfig,
    ViTMAEForPreTraining,
)

from whitebox_transformers.crate import CrateImageProcessor
from whitebox_transformers.errors import UserError
from whitebox_transformers.evaluation.probes.backbone import (
    Backbone,
    load_encoder,
    load_processor,
    untrained_encoder,
)

SIZES = {"image_size": 8, "patch_size": 4, "hidden_size": 12, "num_hidden_layers": 3,
         "num_attention_heads": 3, "intermediate_size": 16}  # fmt: skip


@pytest.fixture(scope="module")
def vit(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("vit")
    ViTForImageClassification(ViTConfig(**SIZES)).save_pretrained(folder)
    ViTImageProcessor(size={"height": 8, "width": 8}).save_pretrained(folder)
    return folder


@torch.no_grad()
def test_every_pooling_of_a_white_box(tmp_path):
    model = tiny_model()
    model.save_pretrained(tmp_path)
    images = tiny_images(model.config)
    z = model.crate(images).last_hidden_state
    encoder = load_encoder(str(tmp_path))
    expected = {
        None: z[:, 0],
        "cls": z[:, 0],
        "mean": z.mean(1),
        "patches": z[:, 1:].mean(1),
        "cls+patches": torch.cat([z[:, 0], z[:, 1:].mean(1)], -1),
    }
    for pooling, features in expected.items():
        torch.testing.assert_close(Backbone(encoder, pooling, 1)(images), features)
    deep = model.crate(images, output_z=True).z
    torch.testing.assert_close(
        Backbone(encoder, "cls", 2)(images), torch.cat([deep[-2][:, 0], deep[-1][:, 0]], -1)
    )


def test_a_model_that_pools_by_the_mean_is_probed_by_it(tmp_path):
    tiny_model("mean-pooling").save_pretrained(tmp_path)
    assert Backbone(load_encoder(str(tmp_path)), None, 1).pooling == "mean"


@torch.no_grad()
def test_earlier_layers_of_a_vit_pass_its_last_norm_as_in_dino(vit):
    encoder = load_encoder(str(vit))
    images = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    seen = []
    hook = encoder.layers[1] if hasattr(encoder, "layers") else encoder.encoder.layer[1]
    hook.register_forward_hook(lambda module, given, made: seen.append(made))
    features = Backbone(encoder, "cls", 2)(images)
    second = seen[0][0] if isinstance(seen[0], tuple) else seen[0]
    last = encoder(images).last_hidden_state
    expected = torch.cat([encoder.layernorm(second)[:, 0], last[:, 0]], -1)
    torch.testing.assert_close(features, expected)


def test_a_masked_autoencoder_is_probed_with_all_its_patches(tmp_path):
    torch.manual_seed(0)
    sizes = SIZES | {"decoder_hidden_size": 8, "decoder_num_attention_heads": 2,
                     "decoder_num_hidden_layers": 1, "decoder_intermediate_size": 8}  # fmt: skip
    ViTMAEForPreTraining(ViTMAEConfig(**sizes)).save_pretrained(tmp_path)
    backbone = Backbone(load_encoder(str(tmp_path)), "cls+patches", 1)
    images = torch.randn(2, 3, 8, 8)
    assert backbone.model(images).last_hidden_state.shape[1] == 5
    torch.testing.assert_close(backbone(images), backbone(images))


def test_images_of_another_class_of_processor_are_prepared_by_its_settings(vit):
    processor = load_processor(str(vit))
    assert isinstance(processor, CrateImageProcessor)
    assert processor.output_size == (8, 8)
    assert not processor.do_center_crop
    assert processor.image_mean == ViTImageProcessor().image_mean


def test_an_untrained_encoder_is_a_function_of_its_seed(vit):
    first, same, other = (untrained_encoder(str(vit), seed) for seed in (0, 0, 1))
    weights = [m.embeddings.patch_embeddings.projection.weight for m in (first, same, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_missing_weights_are_named_instead_of_being_drawn(vit, tmp_path):
    model = tiny_model()
    del model.crate.stack.layers[2]
    model.save_pretrained(tmp_path)
    with pytest.raises(UserError, match="stack.layers.2"):
        load_encoder(str(tmp_path))


def test_what_no_probe_can_read(vit, tmp_path):
    with pytest.raises(UserError, match=r"config.json is missing"):
        load_encoder(str(tmp_path))
    with pytest.raises(UserError, match="layers=4 is more than the model's 3"):
        Backbone(load_encoder(str(vit)), "cls", 4)
