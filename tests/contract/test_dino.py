"""A folder with student and teacher: every Auto class finds in it what its users expect."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from tests.contract.tiny_dino import KINDS, OBJECTIVES, SIZES, tiny_dino, tiny_views
from transformers import (
    AutoImageProcessor,
    AutoModel,
    AutoModelForImageClassification,
    AutoModelForPreTraining,
    pipeline,
)

from whitebox_transformers.crate import CrateDinoForPreTraining, CrateImageProcessor

pytestmark = pytest.mark.filterwarnings("ignore:`gradient_checkpointing_enable`:FutureWarning")


@pytest.fixture(params=KINDS)
def stored(request, tmp_path):
    model = tiny_dino(request.param)
    model.save_pretrained(tmp_path)
    CrateImageProcessor(size={"height": 8, "width": 8}, do_center_crop=False).save_pretrained(
        tmp_path
    )
    return model.eval(), tmp_path


def test_everything_is_there_again(stored):
    model, folder = stored
    again = AutoModelForPreTraining.from_pretrained(folder)
    assert type(again) is type(model)
    theirs = again.state_dict()
    assert theirs.keys() == model.state_dict().keys()
    assert all(torch.equal(value, theirs[name]) for name, value in model.state_dict().items())
    learns = {name for name, p in again.named_parameters() if p.requires_grad}
    assert learns == {name for name, _ in again.named_parameters() if name.startswith("student")}
    views = tiny_views()
    torch.testing.assert_close(again.train()(*views).loss, model.train()(*views).loss)


@torch.no_grad()
def test_the_base_model_is_the_teachers(stored):
    model, folder = stored
    images = tiny_views()[0][:, 0]
    expected = model(images).last_hidden_state
    found, loading = AutoModel.from_pretrained(folder, output_loading_info=True)
    assert not loading["missing_keys"]
    assert not loading["unexpected_keys"]
    torch.testing.assert_close(found(images).last_hidden_state, expected)
    student = model.student(images).last_hidden_state
    assert not torch.allclose(student, expected)


@torch.no_grad()
def test_it_becomes_a_classifier(stored, tmp_path):
    model, folder = stored
    images = tiny_views()[0][:, 0]
    classifier = AutoModelForImageClassification.from_pretrained(folder, num_labels=5)
    assert classifier(images).logits.shape == (3, 5)
    torch.testing.assert_close(
        classifier.base_model(images).last_hidden_state, model(images).last_hidden_state
    )
    classifier.save_pretrained(tmp_path / "classifier")
    again = AutoModelForImageClassification.from_pretrained(tmp_path / "classifier")
    torch.testing.assert_close(again(images).logits, classifier(images).logits)
    encoder, loading = AutoModel.from_pretrained(tmp_path / "classifier", output_loading_info=True)
    assert not loading["missing_keys"]
    torch.testing.assert_close(encoder(images).last_hidden_state, model(images).last_hidden_state)


@torch.no_grad()
def test_a_pipeline_reads_the_teachers_features(stored):
    model, folder = stored
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8))
    read = pipeline("image-feature-extraction", str(folder))
    pixels = AutoImageProcessor.from_pretrained(folder)(picture, return_tensors="pt")
    expected = model(pixels["pixel_values"]).last_hidden_state
    torch.testing.assert_close(torch.tensor(read(picture)), expected)


@torch.no_grad()
def test_layers_of_the_teacher_are_recorded():
    model = tiny_dino().eval()
    images = tiny_views()[0][:, 0]
    found = model(images, output_z=True, output_z_half=True, output_attentions=True)
    assert len(found.z) == len(found.attentions) + 1 == SIZES["num_hidden_layers"] + 1
    torch.testing.assert_close(found.z[-1], model.crate(images).last_hidden_state)
    torch.testing.assert_close(found.pooler_output, found.z[-1][:, 0])


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_gradient_checkpointing_changes_nothing(objective):
    plain, checkpointed = tiny_dino(objective=objective), tiny_dino(objective=objective)
    checkpointed.gradient_checkpointing_enable()
    views = tiny_views()
    for model in (plain, checkpointed):
        model(*views).loss.backward()
    pairs = zip(plain.parameters(), checkpointed.parameters(), strict=True)
    for ours, theirs in pairs:
        if ours.requires_grad:
            torch.testing.assert_close(ours.grad, theirs.grad)


def test_a_checkpoint_of_another_size_is_refused(tmp_path):
    tiny_dino(num_channels=3).save_pretrained(tmp_path)
    with pytest.raises(RuntimeError, match="size mismatch|mismatch"):
        CrateDinoForPreTraining.from_pretrained(tmp_path, hidden_size=24)
