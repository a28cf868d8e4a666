"""Masked autoencoders learn by recipe, resume exactly, and their encoder becomes a classifier."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from tests.learn.interruption import Interrupt, assert_same_run
from tests.learn.tiny_mae_run import tiny_mae_recipe
from transformers import AutoModel, AutoModelForPreTraining, pipeline

from whitebox_transformers.crate import CrateMAEForPreTraining
from whitebox_transformers.crate.embeddings import sine_positions
from whitebox_transformers.data.config import DataConfig
from whitebox_transformers.errors import UserError
from whitebox_transformers.evaluation.finished_run import evaluate
from whitebox_transformers.tasks import task_of
from whitebox_transformers.training.compare import check_equal_parameters, comparison_arms
from whitebox_transformers.training.recipe import recipe_from_dict
from whitebox_transformers.training.run import train
from whitebox_transformers.training.smoke import smoke

pytestmark = pytest.mark.learn


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    recipe = tiny_mae_recipe(steps=60, accumulate=1, evaluate_every=30, checkpoint_every=60)
    recipe.data.limit = None
    return train(recipe, tmp_path_factory.mktemp("runs") / "mae")


def test_the_masked_error_falls_below_that_of_the_mean(learned):
    metrics = json.loads((learned.folder / "metrics.json").read_text())
    losses = [entry["loss"] for entry in metrics["train"]]
    assert losses[-1] < 0.6 * losses[0]
    # Predicting one grey for everything explains nothing.
    assert learned.scores["explained"] > 0.02
    assert evaluate(learned.folder) == metrics["test"]


@torch.no_grad()
def test_the_score_is_the_models_own_loss_over_the_split(learned):
    model = AutoModelForPreTraining.from_pretrained(learned.folder)
    assert type(model) is CrateMAEForPreTraining
    recipe = tiny_mae_recipe()
    recipe.data.limit = None
    test = task_of(recipe).prepare(recipe)[0].test
    samples = [test[index] for index in range(len(test))]
    batch = {key: torch.stack([sample[key] for sample in samples]) for key in samples[0]}
    outputs = model(**batch)
    assert float(outputs.loss) == pytest.approx(learned.scores["loss"], rel=1e-5)
    hidden = outputs.mask.bool()
    target = model.patchify(batch["pixel_values"])[hidden]
    residual = (model(**batch).logits[hidden] - target).square().sum()
    explained = 1 - residual / (target - target.mean()).square().sum()
    assert float(explained) == pytest.approx(learned.scores["explained"], rel=1e-4)


@torch.no_grad()
def test_the_folder_gives_features_and_says_what_it_is(learned):
    images = torch.randn(2, 1, 8, 8)
    encoder = AutoModel.from_pretrained(learned.folder)
    assert torch.equal(encoder(images).pooler_output, encoder(images).pooler_output)
    extract = pipeline("image-feature-extraction", str(learned.folder))
    assert np.shape(extract(Image.new("L", (8, 8), 90))) == (1, 17, 32)
    card = (learned.folder / "README.md").read_text()
    assert "image-feature-extraction" in card
    assert f"{learned.scores['loss']:.4f}" in card


def test_a_run_that_was_stopped_ends_with_the_same_weights(tmp_path):
    train(tiny_mae_recipe(), tmp_path / "whole")
    interrupt = Interrupt([4, 11])
    for workers in (0, 2):
        with pytest.raises(KeyboardInterrupt):
            train(tiny_mae_recipe(workers=workers), tmp_path / "run", [interrupt])
    train(tiny_mae_recipe(), tmp_path / "run")
    assert_same_run(tmp_path / "run", tmp_path / "whole")


def test_a_stream_is_masked_and_resumes(tmp_path):
    draw = np.random.default_rng(0)
    for split, count in (("train", 20), ("val", 3), ("test", 3)):
        for label in ("a", "b"):
            folder = tmp_path / "images" / split / label
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = draw.integers(0, 256, (8, 8), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")
    recipe = tiny_mae_recipe(steps=5, batch_size=16, evaluate_every=5, checkpoint_every=2)
    recipe.data = DataConfig(source="folder", path=str(tmp_path / "images"), streaming=True)
    whole = train(recipe, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path / "run", [Interrupt([3])])
    assert train(recipe, tmp_path / "run").scores == whole.scores
    found, expected = (
        CrateMAEForPreTraining.from_pretrained(tmp_path / name).state_dict()
        for name in ("run", "whole")
    )
    assert all(torch.equal(found[key], expected[key]) for key in expected)


def test_a_stopped_black_box_goes_on_from_its_weights(tmp_path):
    """Its checkpoint bears the names of older versions of transformers."""
    recipe = tiny_mae_recipe("vit-mae", steps=4, checkpoint_every=2, evaluate_every=4)
    train(recipe, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path / "run", [Interrupt([3])])
    train(recipe, tmp_path / "run")
    assert_same_run(tmp_path / "run", tmp_path / "whole", last=4)


def test_the_encoder_goes_on_as_a_classifier(learned, tmp_path):
    recipe = recipe_from_dict(
        {
            "name": "fine",
            "model": {"family": "crate-mae", "from": str(learned.folder)},
            "train": {"steps": 2, "batch_size": 16, "tensorboard": False, "learning_rate": 1e-6},
            "data": {"limit": 40},
        }
    )
    result = train(recipe, tmp_path / "fine")
    before = AutoModel.from_pretrained(learned.folder)
    after = AutoModel.from_pretrained(result.folder)
    assert after.config.threshold == before.config.threshold == 0.1
    for (name, old), new in zip(
        before.state_dict().items(), after.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(new, old, rtol=0, atol=1e-4, msg=name)


def test_a_fresh_black_box_knows_where_its_patches_are():
    recipe = tiny_mae_recipe("vit-mae")
    task = task_of(recipe)
    data, _ = task.prepare(recipe)
    model, again = task.build_model(recipe, data), task.build_model(recipe, data)
    for table in (model.vit.embeddings.position_embeddings, model.decoder.decoder_pos_embed):
        assert torch.equal(table, sine_positions(4, 4, 16))
        assert not table.requires_grad
    assert all(map(torch.equal, model.state_dict().values(), again.state_dict().values()))
    assert check_equal_parameters(comparison_arms(tiny_mae_recipe())) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"model": {"config": {"mask_ratio": 1}}}, r"model\.config: mask_ratio=1 must be above 0"),
        (
            {"against": {"family": "vit-mae", "config": {"mask_ratio": 0.0}}},
            r"against\.config: mask_ratio=0.0 leaves 196 of 196",
        ),
        ({"augment": {"mixup": 0.2}}, "mix labels"),
        ({"train": {"epochs": 1, "label_smoothing": 0.1}}, "no labels to smooth"),
        ({"model": {"config": {"image_size": 9, "patch_size": 2}}}, "not a multiple of patch_size"),
    ],
)
def test_recipes_that_cannot_work_are_refused_before_any_work(keys, message):
    with pytest.raises(UserError, match=message):
        recipe_from_dict({"name": "bad", "task": "masked-autoencoding"} | keys)


def test_weights_of_another_size_are_named(learned):
    recipe = tiny_mae_recipe()
    recipe = replace(recipe, model=replace(recipe.model, from_=str(learned.folder), config={}))
    recipe.model.config["image_size"] = 12
    task = task_of(recipe)
    data, _ = task.prepare(recipe)
    with pytest.raises(UserError, match=r"position_embeddings of shape \(1, 17, 32\)"):
        task.build_model(recipe, data)


def test_smoke_makes_up_images(tmp_path):
    recipe = tiny_mae_recipe()
    recipe.data = DataConfig(source="folder", path=str(tmp_path / "absent"))
    recipe.out = str(tmp_path / "run")
    assert train(smoke(recipe)).scores["loss"] > 0
