from dataclasses import replace

import pytest
from tests.learn.tiny_run import tiny_recipe

from whitebox_transformers.errors import UserError
from whitebox_transformers.training.families import ModelConfig
from whitebox_transformers.training.run_folder import RunFolder, recipe_of


@pytest.fixture
def recipe():
    return tiny_recipe()


@pytest.fixture
def folder(recipe, tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.write_recipe(recipe)
    return folder


def test_black_box_and_its_tuning_do_not_make_another_run_of_the_white_box(folder, recipe):
    black_box = ModelConfig(family="vit", config={"hidden_size": 16})
    folder.open(replace(recipe, against=black_box, against_train={"learning_rate": 0.1}))


def test_way_of_working_does_not_make_another_run(folder, recipe):
    folder.open(replace(recipe, out="elsewhere", train=replace(recipe.train, workers=2)))


def test_what_decides_a_run_is_named_with_both_values(folder, recipe):
    other = replace(recipe, train=replace(recipe.train, learning_rate=0.02))
    with pytest.raises(UserError, match=r"train.learning_rate was 0.01, is 0.02"):
        folder.open(other)


def test_recipe_of_another_version_is_refused_with_its_file(folder, recipe):
    text = folder.recipe.read_text(encoding="utf-8")
    folder.recipe.write_text(text.replace("from:", "pretrained:"), encoding="utf-8")
    with pytest.raises(UserError, match=r"recipe\.yaml: model\.pretrained.*rename it"):
        recipe_of(folder)
