"""Every shipped recipe loads, explains itself, and can be found by its name."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from whitebox_transformers.errors import UserError
from whitebox_transformers.tasks.text import TextRecipe
from whitebox_transformers.training.compare import check_equal_parameters, comparison_arms
from whitebox_transformers.training.recipe import load_recipe
from whitebox_transformers.training.smoke import smoke
from whitebox_transformers_cli.shipped import recipe_path, shipped_recipes

FOLDER = Path(__file__).parents[2] / "recipes"
RECIPES = sorted(FOLDER.rglob("*.yaml"))
NAMES = [path.relative_to(FOLDER).as_posix() for path in RECIPES]


def test_recipes_are_shipped():
    assert list(shipped_recipes().values()) == RECIPES
    assert "image/digits" in shipped_recipes()


@pytest.mark.parametrize("path", RECIPES, ids=NAMES)
def test_recipe_loads(path):
    assert load_recipe(path).name


@pytest.mark.parametrize("path", RECIPES, ids=NAMES)
def test_recipe_is_found_by_name(path):
    name = path.relative_to(FOLDER).with_suffix("").as_posix()
    assert recipe_path(name) == path
    assert recipe_path(f"recipes/{name}.yaml") in (path, Path(f"recipes/{name}.yaml"))


def test_a_name_that_several_recipes_bear_is_refused_with_all_of_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert recipe_path("transfer").name == "transfer.yaml"
    bearing = ", ".join(
        name.removesuffix(".yaml") for name in NAMES if name.endswith("/digits.yaml")
    )
    with pytest.raises(UserError, match=f"several recipes are called digits: .*{bearing}"):
        recipe_path("digits")


@pytest.mark.parametrize("path", RECIPES, ids=NAMES)
def test_recipe_begins_by_saying_what_it_is(path):
    assert path.read_text(encoding="utf-8").startswith("# ")


@pytest.mark.parametrize("path", RECIPES, ids=NAMES)
def test_every_value_is_commented(path):
    for line in path.read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition(":")
        if key.strip() and not key.strip().startswith(("#", "-")) and value.strip():
            assert "#" in value, f"{path.name}: no comment explains {key.strip()}"


@pytest.mark.parametrize("path", RECIPES, ids=NAMES)
def test_recipe_names_no_place_on_the_author_s_machine(path):
    recipe_data = yaml.safe_load(path.read_text(encoding="utf-8")).get("data", {})
    assert not str(recipe_data.get("path") or "").startswith("/")


def pairs_of_text():
    """Recipes of language models; those that start from a run take its size."""
    for path, name in zip(RECIPES, NAMES, strict=True):
        recipe = load_recipe(path)
        if isinstance(recipe, TextRecipe) and recipe.against and not recipe.against.from_:
            yield pytest.param(path, id=name)


@pytest.mark.parametrize("path", list(pairs_of_text()))
def test_a_smoke_run_of_text_has_equal_arms_and_data_on_any_machine(path, tmp_path, monkeypatch):
    monkeypatch.delenv("WBT_DATA", raising=False)
    recipe = smoke(load_recipe(path, [f"out={tmp_path / 'run'}"]))
    assert abs(check_equal_parameters(comparison_arms(recipe)) - 1) <= 0.02
