"""What users of Hugging Face's masked autoencoder rely on holds for CRATE-MAE."""

from __future__ import annotations

import pytest
import torch
from PIL import Image
from tests.contract.tiny_mae import MAE_VARIANTS, tiny_mae, tiny_masked
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForImageClassification,
    AutoModelForPreTraining,
    ViTMAEConfig,
    ViTMAEForPreTraining,
    pipeline,
)

from whitebox_transformers.crate import (
    CrateImageProcessor,
    CrateMAEForImageClassification,
    CrateMAEForPreTraining,
    CrateMAEModel,
    fold,
)


@pytest.mark.parametrize("variant", MAE_VARIANTS)
@torch.no_grad()
def test_saved_and_loaded_it_reconstructs_the_same(variant, tmp_path):
    model = tiny_mae(variant)
    inputs = tiny_masked(model.config)
    model.save_pretrained(tmp_path)
    loaded, info = AutoModelForPreTraining.from_pretrained(tmp_path, output_loading_info=True)
    assert type(loaded) is CrateMAEForPreTraining
    assert not any(info.values()), info
    for config in (model.config, loaded.config):
        config._name_or_path = ""
    assert loaded.config.to_dict() == model.config.to_dict()
    expected, found = model(**inputs), loaded(**inputs)
    assert torch.equal(found.loss, expected.loss)
    assert torch.equal(found.logits, expected.logits)


@pytest.mark.parametrize("variant", ["published", "efficient"])
@torch.no_grad()
def test_features_are_those_of_the_whole_image_every_time(variant, tmp_path):
    model = tiny_mae(variant)
    model.save_pretrained(tmp_path)
    encoder, info = AutoModel.from_pretrained(tmp_path, output_loading_info=True)
    assert type(encoder) is CrateMAEModel
    assert not any(info.values()), info
    images = tiny_masked(model.config)["pixel_values"]
    first, again = encoder(images), encoder(images)
    assert first.last_hidden_state.shape == (2, 1 + 6, 12)
    assert first.mask is None
    assert torch.equal(first.last_hidden_state, again.last_hidden_state)
    # Every patch is seen: a change of any one changes the class token.
    for row in (0, 4):
        for column in (0, 4, 8):
            other = images.clone()
            other[:, :, row : row + 4, column : column + 4] += 1
            assert not torch.equal(encoder(other).pooler_output, first.pooler_output)


@torch.no_grad()
def test_a_classifier_keeps_the_encoder_with_its_own_settings(tmp_path):
    model = tiny_mae(threshold=0.7, step_size=0.2)
    with torch.no_grad():
        model.crate.embeddings.position_embeddings.mul_(2)
    model.save_pretrained(tmp_path / "run")
    classifier = AutoModelForImageClassification.from_pretrained(tmp_path / "run", num_labels=4)
    assert type(classifier) is CrateMAEForImageClassification
    assert classifier.config.threshold == 0.7
    for name, value in model.crate.state_dict().items():
        assert torch.equal(classifier.crate.state_dict()[name], value), name
    images = tiny_masked(model.config)["pixel_values"]
    feature = model.crate(images).pooler_output
    logits = classifier(images).logits
    torch.testing.assert_close(logits, classifier.classifier(feature))
    torch.testing.assert_close(fold(classifier)(images).logits, logits)

    classifier.save_pretrained(tmp_path / "classifier")
    again = AutoModelForImageClassification.from_pretrained(tmp_path / "classifier")
    assert torch.equal(again(images).logits, logits)


def test_the_classifier_trains_every_parameter():
    classifier = CrateMAEForImageClassification(tiny_mae().config).train()
    images = tiny_masked(classifier.config)["pixel_values"]
    classifier(images, labels=torch.tensor([0, 1])).loss.backward()
    assert all(p.grad is not None for p in classifier.parameters())


@pytest.mark.parametrize("variant", MAE_VARIANTS)
def test_the_autoencoder_trains_every_parameter(variant):
    model = tiny_mae(variant).train()
    model(**tiny_masked(model.config)).loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


@torch.no_grad()
def test_eager_and_fused_attention_agree_in_both_halves():
    model = tiny_mae()
    inputs = tiny_masked(model.config)
    model.set_attn_implementation("eager")
    assert model.decoder.config._attn_implementation == "eager"
    eager = model(**inputs).logits
    model.set_attn_implementation("sdpa")
    assert model.decoder.config._attn_implementation == "sdpa"
    torch.testing.assert_close(model(**inputs).logits, eager)
    asked = CrateMAEForPreTraining._from_config(model.config, attn_implementation="eager")
    assert asked.decoder.config._attn_implementation == "eager"


def test_gradient_checkpointing_changes_nothing():
    gradients = []
    for checkpointing in (False, True):
        model = tiny_mae("shared").train()
        if checkpointing:
            model.gradient_checkpointing_enable()
        model(**tiny_masked(model.config)).loss.backward()
        gradients.append([p.grad for p in model.parameters()])
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("variant", ["published", "efficient"])
@torch.no_grad()
def test_compiled_in_one_graph(variant):
    model = tiny_mae(variant)
    inputs = tiny_masked(model.config)
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(**inputs).loss, model(**inputs).loss)


@torch.no_grad()
def test_both_halves_record_what_is_asked_of_each():
    model = tiny_mae("other-decoder")
    outputs = model(
        **tiny_masked(model.config), output_z=True, decoder_output_attentions=[-1], return_dict=True
    )
    assert [z.shape for z in outputs.z] == [(2, 7, 12)] * 4
    assert outputs.decoder_z is None
    assert [a.shape for a in outputs.decoder_attentions] == [(2, 2, 7, 7)]


@torch.no_grad()
def test_arguments_and_outputs_are_those_of_the_black_box():
    """Same noise, same mask and places, same meaning of a prediction, in both models."""
    model = tiny_mae(image_size=8)
    inputs = tiny_masked(model.config)
    sizes = {"hidden_size": 12, "num_hidden_layers": 1, "num_attention_heads": 3}
    decoder = {f"decoder_{key}": value for key, value in sizes.items()}
    black_box = ViTMAEForPreTraining(ViTMAEConfig(image_size=8, patch_size=4, **sizes, **decoder))
    ours, theirs = model(**inputs), black_box(**inputs)
    assert torch.equal(ours.mask, theirs.mask)
    assert torch.equal(ours.ids_restore, theirs.ids_restore)
    assert ours.logits.shape == theirs.logits.shape
    pixels = inputs["pixel_values"]
    assert torch.equal(model.patchify(pixels), black_box.patchify(pixels))
    assert torch.equal(model.unpatchify(theirs.logits), black_box.unpatchify(theirs.logits))
    loss = model.reconstruction_loss(pixels, theirs.logits, theirs.mask)
    torch.testing.assert_close(loss, theirs.loss)


def test_the_feature_pipeline_reads_a_pretraining_folder(tmp_path):
    model = tiny_mae()
    model.save_pretrained(tmp_path)
    CrateImageProcessor(size={"height": 8, "width": 12}, do_center_crop=False).save_pretrained(
        tmp_path
    )
    extract = pipeline("image-feature-extraction", str(tmp_path))
    picture = Image.new("RGB", (24, 16), (200, 30, 60))
    features = extract(picture, return_tensors=True)
    assert features.shape == (1, 7, 12)
    pixels = extract.image_processor(picture, return_tensors="pt")["pixel_values"]
    torch.testing.assert_close(features, model.crate(pixels).last_hidden_state)


def test_the_folder_says_which_classes_it_loads_as(tmp_path):
    tiny_mae().save_pretrained(tmp_path)
    classes = AutoConfig.from_pretrained(tmp_path).auto_map
    assert classes["AutoModel"].endswith("CrateMAEModel")
    assert classes["AutoModelForPreTraining"].endswith("CrateMAEForPreTraining")
    assert classes["AutoModelForImageClassification"].endswith("CrateMAEForImageClassification")
