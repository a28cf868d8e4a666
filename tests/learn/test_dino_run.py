"""Student and teacher learn by recipe, resume exactly, and sound an alarm where they collapse."""

from __future__ import annotations

import json
import logging
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from tests.learn.interruption import Interrupt, assert_same_run
from tests.learn.tiny_dino_run import tiny_dino_recipe
from transformers import AutoModel, TrainerCallback

from whitebox_transformers.errors import UserError
from whitebox_transformers.evaluation.finished_run import evaluate, load_run
from whitebox_transformers.evaluation.probes import ProbeSettings, probe
from whitebox_transformers.tasks import task_of
from whitebox_transformers.training.recipe import recipe_from_dict
from whitebox_transformers.training.run import train
from whitebox_transformers.training.smoke import smoke

pytestmark = pytest.mark.learn

LONGER = {"steps": 60, "accumulate": 1, "evaluate_every": 20, "checkpoint_every": 60}

# Positions that do not drown the image, whose patches the feature is the mean of.
FROM_IMAGES = {"position_init_std": 0.02, "pooling": "mean", "final_norm": True}


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        said = []
        patch.setattr(logging.getLogger("whitebox_transformers.training.collapse"), "warning",
                      lambda *words: said.append(words))  # fmt: skip
        recipe = tiny_dino_recipe(objective="simdino", data={"limit": 400}, model=FROM_IMAGES,
                                  **LONGER | {"learning_rate": 0.002})  # fmt: skip
        result = train(recipe, tmp_path_factory.mktemp("runs") / "dino")
    return result, said


def test_the_loss_falls_and_no_alarm_sounds(learned):
    result, said = learned
    metrics = json.loads((result.folder / "metrics.json").read_text())
    losses = [entry["loss"] for entry in metrics["train"]]
    assert losses[-1] < losses[0]
    assert said == []
    assert metrics["best"]["step"] == 60
    assert result.scores["rate"] > 15
    assert evaluate(result.folder) == metrics["test"]


def test_the_folder_is_the_teachers_and_is_probed(learned, tmp_path):
    result, _ = learned
    encoder = AutoModel.from_pretrained(result.folder)
    model, _ = load_run(result.folder)
    for name, value in encoder.state_dict().items():
        assert torch.equal(value, model.crate.state_dict()[name])
    card = (result.folder / "README.md").read_text()
    assert "the last ones" in card
    settings = ProbeSettings(neighbours=(5,), linear=False)
    found = probe(result.folder, settings=settings, cache=tmp_path, out=tmp_path / "scores.json")
    assert set(found.scores) == {"trained", "untrained", "pixels", "pca"}


@pytest.mark.parametrize("objective", ["dino", "simdino"])
def test_a_run_that_was_stopped_ends_with_the_same_weights(objective, tmp_path):
    """Teacher, centre, temperature, momentum and decay are the unbroken run's at every step."""
    whole, broken = Watch(), Watch()
    recipe = tiny_dino_recipe(objective=objective, model={"hidden_dropout_prob": 0.1})
    train(recipe, tmp_path / "whole", [whole])
    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path / "run", [broken, Interrupt([4])])
    workers = replace(recipe, train=replace(recipe.train, workers=2))
    train(workers, tmp_path / "run", [broken])
    assert_same_run(tmp_path / "run", tmp_path / "whole")
    assert broken.seen == whole.seen
    assert len(whole.seen) == 12
    names = load_file(tmp_path / "run" / "model.safetensors")
    assert ("centre.mean" in names) == (objective == "dino")


class Watch(TrainerCallback):
    """What is scheduled, by step."""

    def __init__(self):
        self.seen = {}

    def on_pre_optimizer_step(self, args, state, control, **kwargs):
        model, group = kwargs["model"], kwargs["optimizer"].param_groups[0]
        prototypes = model.student_head.prototypes
        self.seen[state.global_step] = (
            model.teacher_temperature,
            group["weight_decay"],
            prototypes is None or prototypes.weight.grad is None,
        )


def test_what_is_scheduled(tmp_path):
    watch, moved = Watch(), Moved()
    recipe = tiny_dino_recipe(
        distillation={"momentum": 0.8, "teacher_temperature": 0.02, "temperature_warmup": 4,
                      "weight_decay_end": 0.4, "freeze_prototypes": 2},
    )  # fmt: skip
    train(recipe, tmp_path / "run", [watch, moved])
    temperatures, decays, frozen = zip(*(watch.seen[step] for step in range(12)), strict=True)
    np.testing.assert_allclose(temperatures[:5], [0.02, 0.0325, 0.045, 0.0575, 0.07])
    assert set(temperatures[4:]) == {0.07}
    wave = (1 + np.cos(np.pi * np.arange(12) / 12)) / 2
    np.testing.assert_allclose(decays, 0.4 + (0.04 - 0.4) * wave)
    assert frozen == (True,) * 4 + (False,) * 8  # two epochs of two batches
    # Warm-up begins at 0, so that there is nothing to follow in the first step.
    np.testing.assert_allclose(moved.momenta[1:], (1 + (0.8 - 1) * wave)[1:], atol=1e-3)


class Moved(TrainerCallback):
    """By which share the teacher kept itself, worked out from a weight before and after."""

    def __init__(self):
        self.momenta = []

    def on_step_begin(self, args, state, control, **kwargs):
        self.before = kwargs["model"].head.mlp[0].weight.clone()

    def on_step_end(self, args, state, control, **kwargs):
        model = kwargs["model"]
        after, student = (h.mlp[0].weight.detach() for h in (model.head, model.student_head))
        distance = (self.before - student).double().norm()
        self.momenta.append(float((after - student).double().norm() / distance))


COLLAPSES = {
    # Never centred, and sharpened: one prototype wins for every image.
    "few": ({"centre_momentum": 1.0, "teacher_temperature": 0.005},
            {"teacher_temperature": 0.005, "freeze_prototypes": 0}, "same few prototypes"),
    # Hardly sharpened at all: every prototype is as likely as every other.
    "all": ({"teacher_temperature": 5.0}, {"teacher_temperature": 5.0}, "all prototypes alike"),
}  # fmt: skip


@pytest.mark.parametrize("kind", COLLAPSES)
def test_the_alarm_sounds_on_a_run_made_to_collapse(kind, tmp_path, caplog):
    model, distillation, said = COLLAPSES[kind]
    recipe = tiny_dino_recipe(model=model, distillation=distillation, **LONGER)
    with caplog.at_level(logging.WARNING):
        train(recipe, tmp_path / "run")
    found = [record.getMessage() for record in caplog.records if "collapse" in record.getMessage()]
    assert found
    assert any(said in message for message in found)
    assert any("Lower" in message or "raise" in message for message in found)
    history = json.loads(
        (tmp_path / "run" / "checkpoints" / "checkpoint-60" / "trainer_state.json").read_text()
    )["log_history"]
    assert any("collapse" in entry for entry in history)


def test_images_without_classes_are_learned_from(tmp_path):
    draw = np.random.default_rng(0)
    folder = tmp_path / "images" / "some" / "where"
    folder.mkdir(parents=True)
    for number in range(40):
        pixels = draw.integers(0, 256, (12, 10), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    data = {"source": "folder", "path": str(tmp_path / "images"), "labelled": False}
    recipe = tiny_dino_recipe("vit-dino", data=data, steps=2, batch_size=8)
    result = train(recipe, tmp_path / "run")
    assert set(result.scores) == {"rate", "entropy", "apart"}
    with pytest.raises(UserError, match="have no labels"):
        probe(result.folder)


def test_the_encoder_goes_on_as_a_classifier(learned, tmp_path):
    result, _ = learned
    recipe = recipe_from_dict(
        {
            "name": "fine",
            "model": {"family": "crate-dino", "from": str(result.folder)},
            "train": {"steps": 2, "batch_size": 16, "tensorboard": False, "learning_rate": 1e-6},
            "data": {"limit": 40},
        }
    )
    tuned = train(recipe, tmp_path / "fine")
    before, after = (AutoModel.from_pretrained(f) for f in (result.folder, tuned.folder))
    for (name, old), new in zip(
        before.state_dict().items(), after.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(new, old, rtol=0, atol=1e-4, msg=name)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (
            {"crops": {"global_crops": 1}},
            "global_crops=1: the student learns",
        ),
        ({"crops": {"blur": [0.5]}}, "three probabilities"),
        ({"crops": {"local_scale": [0.5, 0.1]}}, "local_scale"),
        ({"distillation": {"momentum": 1.2}}, "distillation.momentum=1.2"),
        ({"train": {"epochs": 1, "label_smoothing": 0.1}}, "no labels to smooth"),
        ({"model": {"config": {"rate_weight": 2.0}}}, "changes nothing with objective='dino'"),
    ],
)
def test_recipes_that_cannot_work_are_refused_before_any_work(keys, said):
    with pytest.raises(UserError, match=said):
        recipe_from_dict({"name": "bad", "task": "self-distillation"} | keys)


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        (tiny_dino_recipe(crops={"local_size": 5}), "local_size=5 is not a multiple"),
        (tiny_dino_recipe(objective="simdino", batch_size=2), "two or more in each"),
    ],
)
def test_crops_and_batches_that_do_not_fit_the_model(recipe, said):
    with pytest.raises(UserError, match=said):
        task_of(recipe).prepare(recipe)


def test_weights_of_another_size_are_named(learned):
    recipe = tiny_dino_recipe()
    recipe = replace(recipe, model=replace(recipe.model, from_=str(learned[0].folder), config={}))
    recipe.model.config["image_size"] = 12
    task = task_of(recipe)
    data, _ = task.prepare(recipe)
    with pytest.raises(UserError, match=r"position_embeddings of shape \(1, 17, 32\)"):
        task.build_model(recipe, data)


def test_smoke_makes_up_images(tmp_path):
    recipe = tiny_dino_recipe(data={"source": "folder", "path": str(tmp_path / "absent")})
    recipe.out = str(tmp_path / "run")
    assert train(smoke(recipe)).scores["rate"] > 0
