"""Runs whose layers are asked for their objective, and watched."""

from __future__ import annotations

import json

import pytest
import yaml
from tests.learn.interruption import Interrupt, assert_same_run
from tests.learn.tiny_dino_run import tiny_dino_recipe
from tests.learn.tiny_mae_run import tiny_mae_recipe
from tests.learn.tiny_run import tiny_recipe
from tests.learn.tiny_text_run import tiny_text_recipe, write_language

from whitebox_transformers.errors import UserError
from whitebox_transformers.training.compare import comparison_arms
from whitebox_transformers.training.recipe import recipe_from_dict, recipe_to_dict
from whitebox_transformers.training.run import train

pytestmark = pytest.mark.learn
ASKED = {"rate_penalty": {"weight": 0.01}, "monitor_rates": 4}


def metrics_of(folder) -> dict:
    return json.loads((folder / "metrics.json").read_text())


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "whole"
    train(tiny_recipe(**ASKED), folder)
    return folder


def test_an_interrupted_run_equals_the_unbroken_one(tmp_path, whole) -> None:
    interrupt = Interrupt([2, 8])
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            train(tiny_recipe(**ASKED), tmp_path / "run", [interrupt])
    train(tiny_recipe(**ASKED), tmp_path / "run")
    assert_same_run(tmp_path / "run", whole)


def test_every_layer_is_watched_from_before_the_first_step(whole) -> None:
    rates = metrics_of(whole)["rates"]
    assert [entry["step"] for entry in rates] == [0, 4, 8, 12]
    assert len(rates[0]["objective-definition-z-next"]) == 1
    assert rates[0]["compress-rate-published"] != rates[3]["compress-rate-published"]


def test_watching_changes_nothing_and_asking_does(tmp_path, whole) -> None:
    train(tiny_recipe(), tmp_path / "plain")
    train(tiny_recipe(monitor_rates=5), tmp_path / "watched")
    plain, watched = metrics_of(tmp_path / "plain"), metrics_of(tmp_path / "watched")
    assert "rates" not in plain
    assert watched.pop("rates")
    assert watched == plain
    assert metrics_of(whole)["validation"] != plain["validation"]


def test_the_penalty_does_not_depend_on_how_a_batch_is_cut(tmp_path) -> None:
    quiet = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    curves = []
    for pieces in (1, 2):
        recipe = tiny_recipe(**ASKED, accumulate=pieces)
        values = recipe_to_dict(recipe)
        values["model"]["config"] |= quiet
        train(recipe_from_dict(values), tmp_path / str(pieces))
        curves.append([entry["loss"] for entry in metrics_of(tmp_path / str(pieces))["train"]])
    assert curves[0] == pytest.approx(curves[1], rel=1e-3)


def test_the_objective_grows_when_it_is_asked_for(tmp_path) -> None:
    ends = []
    for weight in (0.0, 1.0):
        asked = {"rate_penalty": {"weight": weight, "layers": [1]}, "monitor_rates": 12}
        train(tiny_recipe(**asked), tmp_path / str(weight))
        ends.append(metrics_of(tmp_path / str(weight))["rates"][-1])
    assert ends[1]["nonzero-share"] < ends[0]["nonzero-share"]
    assert ends[1]["objective-definition-z-next"] > ends[0]["objective-definition-z-next"]


@pytest.mark.parametrize("learns", ["text", "masked images", "views of images"])
def test_whatever_is_learned_is_asked_and_watched_by_the_same_keys(tmp_path, learns) -> None:
    if learns == "text":
        text = write_language(tmp_path / "language")
        recipe = tiny_text_recipe("causal-lm", "crate-gpt", text)
    else:
        recipe = tiny_mae_recipe() if learns == "masked images" else tiny_dino_recipe()
    values = recipe_to_dict(recipe)
    for weight in (0.0, 1.0):
        values["train"] |= {"steps": 4, "monitor_rates": 4, "rate_penalty": {"weight": weight}}
        train(recipe_from_dict(values), tmp_path / str(weight))
    plain, asked = (metrics_of(tmp_path / str(weight))["rates"] for weight in (0.0, 1.0))
    assert [entry["step"] for entry in asked] == [0, 4]
    assert asked[0] == plain[0]
    assert asked[1] != plain[1]


@pytest.mark.parametrize("key", ["rate_penalty", "monitor_rates"])
def test_black_boxes_are_refused_before_any_work(key) -> None:
    asked = {key: ASKED[key]}
    with pytest.raises(UserError, match=r"train\.\w+.*: ViT is a black box, .*; set train\.\w+"):
        tiny_recipe("vit", **asked)
    values = recipe_to_dict(tiny_recipe(**asked))
    values["against"] = recipe_to_dict(tiny_recipe("vit"))["model"]
    with pytest.raises(UserError, match=r"ViT is a black box, .*; set against_train\."):
        comparison_arms(recipe_from_dict(values))
    values["against_train"] = {"rate_penalty": {"weight": 0}, "monitor_rates": None}
    assert comparison_arms(recipe_from_dict(values))[1].train.monitor_rates is None


def test_a_run_from_before_a_key_existed_is_still_that_run(tmp_path) -> None:
    recipe = tiny_recipe(steps=2)
    train(recipe, tmp_path / "run")
    path = tmp_path / "run" / "recipe.yaml"
    old = yaml.safe_load(path.read_text())
    del old["train"]["rate_penalty"], old["train"]["monitor_rates"]
    path.write_text(yaml.safe_dump(old))
    assert train(recipe, tmp_path / "run").already_finished
    with pytest.raises(UserError, match=r"train.rate_penalty.weight was 0.0, is 0.1"):
        train(tiny_recipe(steps=2, rate_penalty={"weight": 0.1}), tmp_path / "run")
