"""A run is a file: the recipe, read strictly, flag over file over default."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from whitebox_transformers.errors import UserError
from whitebox_transformers.tasks import find_task
from whitebox_transformers.tasks.recipe import Recipe
from whitebox_transformers.training.settings import TrainConfig
from whitebox_transformers.training.strict import apply_overrides, build, plain

DEFAULT_TASK = Recipe.task


def load_recipe(path: str | Path, overrides: list[str] | None = None) -> Recipe:
    """Read and check a recipe.

    Args:
        path: YAML file.
        overrides: ``a.b=value`` items that win over the file; values are read as YAML.

    Raises:
        UserError: The file is missing or not YAML, a key is unknown (with the nearest suggestion),
            or a value has the wrong type or range, or is not accepted by the model's configuration.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"no recipe at {path}; `wbt list` shows the shipped ones")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise UserError(f"{path} holds no recipe; expected keys such as name, model, data, train")
    return recipe_from_dict(apply_overrides(values, overrides or []))


def recipe_from_dict(values: dict[str, Any]) -> Recipe:
    """Check plain values and make a recipe of them; raises as :func:`load_recipe`."""
    task = find_task(str(values.get("task", DEFAULT_TASK)))
    model = values.get("model") or {}
    if isinstance(model, dict):
        values = values | {"model": {"family": task.white_box} | model}
    recipe = build(task.recipe, values)
    task.check(recipe.model, "model")
    family = task.family(recipe.model)
    recipe.train.check_family(family.title, family.white_box)
    if recipe.against is not None:
        task.check(recipe.against, "against")
        black_box_training(recipe)
    return recipe


def black_box_training(recipe: Recipe) -> TrainConfig:
    """``train`` with the keys of ``against_train`` over it.

    Raises:
        UserError: A key is unknown or a value is wrong.
    """
    merged = plain(recipe.train) | recipe.against_train
    return build(TrainConfig, merged, "against_train")


def recipe_to_dict(recipe: Recipe) -> dict[str, Any]:
    """Plain nested values, defaults included; :func:`recipe_from_dict` reads them back."""
    return plain(recipe)


def differences(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> dict[str, tuple]:
    """Dotted keys whose values differ, with the old and the new value."""
    found: dict[str, tuple] = {}
    for key in old.keys() | new.keys():
        left, right, name = old.get(key), new.get(key), f"{prefix}{key}"
        if isinstance(left, dict) and isinstance(right, dict):
            found |= differences(left, right, f"{name}.")
        elif left != right:
            found[name] = (left, right)
    return dict(sorted(found.items()))
