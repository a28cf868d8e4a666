from pathlib import Path

import pytest
import yaml

from whitebox_transformers.errors import UserError
from whitebox_transformers.training.recipe import (
    differences,
    load_recipe,
    recipe_from_dict,
    recipe_to_dict,
)

RECIPES = sorted((Path(__file__).parents[3] / "recipes" / "image").glob("*.yaml"))


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "recipe.yaml"
    file.write_text("name: trial\ntrain: {epochs: 2, learning_rate: 1e-3}\n")
    return file


@pytest.mark.parametrize("file", RECIPES, ids=lambda file: file.stem)
def test_shipped_recipes_are_valid_and_comment_every_key(file):
    load_recipe(file)
    for line in file.read_text().splitlines():
        assert not line.strip() or "#" in line, f"{file.name}: no comment on {line!r}"


def test_flag_wins_over_file_wins_over_default(path):
    recipe = load_recipe(path, ["train.learning_rate=2e-3", "model.config.hidden_size=96"])
    assert recipe.train.learning_rate == 2e-3
    assert recipe.train.epochs == 2
    assert recipe.train.batch_size == 128
    assert recipe.model.config == {"hidden_size": 96}


def test_resolved_recipe_reads_back_equal(path):
    recipe = load_recipe(path, ["train.keep=[0, 1]", "against.family=vit"])
    stored = yaml.safe_load(yaml.safe_dump(recipe_to_dict(recipe)))
    assert recipe_from_dict(stored) == recipe
    assert differences(stored, recipe_to_dict(recipe)) == {}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.learning_rat=1", "did you mean 'learning_rate'"),
        ("trian.epochs=1", "did you mean 'train'"),
        ("model.config.hidden_sise=4", "did you mean 'hidden_size'"),
        ("model.config.num_labels=4", "classes come from the data"),
        ("model.config.num_attention_heads=5", "not a multiple of num_attention_heads"),
        ("model.config.hidden_size=wide", "hidden_size"),
        ("model.family=resnet", "choose one of: crate, crate-mae"),
        ("model.pretrained=folder", "now called model.from"),
        ("task=image-clasification", "choose one of: image-classification"),
        ("against.preset=crate-base", "against.family is missing"),
        ("model.preset=crate-hug", "crate-huge|crate-tiny"),
        ("train.batch_size=many", "expected int"),
        ("train.batch_size=1.5", "expected int"),
        ("train.bf16=1", "expected bool"),
        ("train.steps=4", "exactly one"),
        ("train.epochs=null", "exactly one"),
        ("train.learning_rate=-1", r"\(0, 1\]"),
        ("train.learning_rate=nan", r"\(0, 1\]"),
        ("train.warmup=2.5", "whole steps"),
        ("train.betas=[0.9]", "two numbers"),
        ("train.schedule=sine", "choose one of: cosine, linear, constant"),
        ("train.eps=0", r"\(0, 1\)"),
        ("train.decay=everything", "choose matrices, all"),
        ("train.decay=['(']", "not a regular expression"),
        ("train.accumulate=3", "not a multiple"),
        ("seed=-1", "out of range"),
        ("name=a/b", "plain word"),
        ("train", "write key=value"),
        ("name.first=x", "not a block"),
    ],
)
def test_wrong_input_is_named_with_its_mend(path, override, message):
    with pytest.raises(UserError, match=message):
        load_recipe(path, [override])


@pytest.mark.parametrize(
    "overrides",
    [["train.optimizer=lion", "train.eps=1e-6"],
     ["train.schedule=constant", "train.min_learning_rate=1e-5"]],
)  # fmt: skip
def test_keys_that_would_do_nothing_are_refused(path, overrides):
    with pytest.raises(UserError, match=overrides[1].partition("=")[0]):
        load_recipe(path, overrides)


def test_missing_file_and_wrong_yaml(tmp_path):
    with pytest.raises(UserError, match="wbt list"):
        load_recipe(tmp_path / "none.yaml")
    (tmp_path / "broken.yaml").write_text("a: [1")
    with pytest.raises(UserError, match="not valid YAML"):
        load_recipe(tmp_path / "broken.yaml")
    (tmp_path / "nameless.yaml").write_text("seed: 1")
    with pytest.raises(UserError, match="name is missing"):
        load_recipe(tmp_path / "nameless.yaml")


def test_number_spelled_without_a_point_is_a_number(path):
    assert load_recipe(path).train.learning_rate == 1e-3
