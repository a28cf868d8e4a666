import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from tests.learn.tiny_run import tiny_recipe
from transformers import AutoModelForImageClassification, TrainerCallback, pipeline

from whitebox_transformers.analysis import untrained
from whitebox_transformers.errors import UserError
from whitebox_transformers.evaluation.finished_run import evaluate
from whitebox_transformers.evaluation.predict import predict
from whitebox_transformers.tasks import task_of
from whitebox_transformers.training.compare import check_equal_parameters, comparison_arms
from whitebox_transformers.training.families import build_model, trainable_parameters
from whitebox_transformers.training.keepsakes import kept_weights
from whitebox_transformers.training.run import train
from whitebox_transformers.training.smoke import smoke

pytestmark = pytest.mark.learn


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """Some steps without mixup and dropout on all digits, with kept weights."""
    folder = tmp_path_factory.mktemp("runs") / "learned"
    recipe = tiny_recipe(
        steps=120, learning_rate=0.005, keep=[0, 10], accumulate=1, evaluate_every=20
    )
    recipe.model.config |= {"patch_size": 2, "hidden_size": 64, "pooling": "mean"}
    recipe.model.config |= {"num_hidden_layers": 2}
    recipe.model.config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    recipe.train.checkpoint_every = 30
    recipe.augment.mixup = 0.0
    recipe.data.limit = None
    return train(recipe, folder)


def test_loss_falls_and_the_best_validation_is_chosen(learned):
    metrics = json.loads((learned.folder / "metrics.json").read_text())
    losses = [entry["loss"] for entry in metrics["train"]]
    assert losses[-1] < 0.9 * losses[0]
    best = max(metrics["validation"], key=lambda entry: (entry["accuracy"], -entry["loss"]))
    assert metrics["best"]["step"] == best["step"]
    assert learned.validation["accuracy"] == best["accuracy"] > 0.3
    assert learned.scores["accuracy"] == metrics["test"]["accuracy"] > 0.3


def test_folder_is_a_hugging_face_model(learned):
    model = AutoModelForImageClassification.from_pretrained(learned.folder)
    assert model.config.id2label == {i: str(i) for i in range(10)}
    image = Image.fromarray(np.zeros((8, 8), np.uint8))
    found = pipeline("image-classification", model=str(learned.folder))(image)
    assert {entry["label"] for entry in found} <= set("0123456789")
    card = (learned.folder / "README.md").read_text()
    assert f"{learned.scores['accuracy']:.4f}" in card
    assert "pipeline(" in card


def test_evaluation_repeats_the_numbers_of_the_run(learned):
    stored = json.loads((learned.folder / "metrics.json").read_text())["test"]
    assert evaluate(learned.folder) == stored
    assert evaluate(learned.folder, "validation")["accuracy"] == learned.validation["accuracy"]
    with pytest.raises(UserError, match="train, validation, test"):
        evaluate(learned.folder, "exam")


def test_kept_weights_begin_with_the_untrained_model(learned):
    kept = dict(kept_weights(learned.folder / "kept"))
    assert sorted(kept) == [0, 10]
    model = AutoModelForImageClassification.from_pretrained(learned.folder)
    first = load_file(kept[0])
    for name, value in untrained(model, seed=0).state_dict().items():
        assert torch.equal(first[name], value)
    assert any(not torch.equal(first[k], v) for k, v in load_file(kept[10]).items())


def test_prediction_names_bad_files_and_goes_on(learned, tmp_path):
    good, broken = tmp_path / "good.png", tmp_path / "broken.png"
    Image.fromarray(np.full((20, 30, 3), 128, np.uint8)).save(good)
    broken.write_bytes(good.read_bytes()[:40])
    found = predict(learned.folder, [broken, good, tmp_path / "none.png"])
    assert [prediction.path.name for prediction in found] == ["broken.png", "good.png", "none.png"]
    assert found[0].error
    assert found[2].error
    assert found[1].error is None
    assert sum(found[1].probabilities.values()) == pytest.approx(1, abs=1e-5)
    assert found[1].probability == max(found[1].probabilities.values())


def test_pretrained_start_keeps_the_body_and_draws_a_new_classifier(learned):
    recipe = tiny_recipe()
    recipe.model.config, recipe.model.from_ = {}, str(learned.folder)
    trained = load_file(learned.folder / "model.safetensors")
    family = task_of(recipe).family(recipe.model)
    other = build_model(recipe.model, family, {"id2label": {0: "cat", 1: "dog"}}, 0).state_dict()
    digits = {i: str(i) for i in range(10)}
    same = build_model(recipe.model, family, {"id2label": digits}, 0).state_dict()
    for name, value in trained.items():
        assert torch.equal(same[name], value)
        if not name.startswith("classifier"):
            assert torch.equal(other[name], value)
    assert other["classifier.linear.weight"].shape == (2, 64)


class Poison(TrainerCallback):
    """Makes the weights infinite after a step."""

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == 4:
            with torch.no_grad():
                next(kwargs["model"].parameters()).fill_(float("inf"))


def test_loss_that_is_no_number_stops_and_names_the_step(tmp_path):
    with pytest.raises(UserError, match="loss is nan at step 5"):
        train(tiny_recipe(), tmp_path / "run", [Poison()])
    assert (tmp_path / "run/checkpoints/checkpoint-3/complete.json").is_file()


def test_black_box_runs_through_the_same_recipe_with_lion_and_smoke(tmp_path):
    recipe = tiny_recipe("vit", optimizer="lion", learning_rate=1e-3, bf16=True)
    recipe = smoke(replace(recipe, out=str(tmp_path / "run")))
    assert train(recipe).family == "vit"
    assert (tmp_path / "run-smoke/model.safetensors").is_file()


def test_smoke_replaces_images_that_are_not_there(tmp_path):
    recipe = replace(tiny_recipe(), out=str(tmp_path / "run"))
    recipe.data.source, recipe.data.path = "folder", str(tmp_path / "nowhere")
    small = smoke(recipe)
    assert len(list((tmp_path / "run-smoke-images").glob("*/*.png"))) == 40
    assert train(small).folder == tmp_path / "run-smoke"


def test_unequal_arms_are_refused_with_both_numbers():
    recipe = replace(tiny_recipe(), against=tiny_recipe("vit").model)
    arms = comparison_arms(recipe)
    assert arms[0].out != arms[1].out
    task = task_of(recipe)
    data, _ = task.prepare(recipe)
    sizes = [trainable_parameters(task.build_model(arm, data)) for arm in arms]
    with pytest.raises(UserError, match=f"{sizes[0]:,} trainable.*{sizes[1]:,}"):
        check_equal_parameters(arms)
    recipe.against = recipe.model
    assert check_equal_parameters(comparison_arms(recipe)) == 1
