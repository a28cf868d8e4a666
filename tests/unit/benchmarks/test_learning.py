"""Any recipe can be a pair: there is a score to tune and to compare its arms by."""

from pathlib import Path

import pytest
from benchmarks.learning import headline

from whitebox_transformers.training.recipe import load_recipe

RECIPES = Path(__file__).parents[3] / "recipes"
SCORES = {"image": "accuracy", "mae": "loss", "dino": "knn", "clm": "loss", "mlm": "loss"}


@pytest.mark.parametrize("folder", SCORES)
def test_recipes_are_compared_by_what_their_task_is_about(folder, monkeypatch):
    monkeypatch.setenv("WBT_DATA", "nowhere")
    found = {headline(load_recipe(path)).key for path in (RECIPES / folder).glob("*.yaml")}
    assert found == {SCORES[folder]}
