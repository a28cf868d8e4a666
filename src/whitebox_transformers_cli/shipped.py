"""Recipes that come with the package, found by name or by path."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from whitebox_transformers.training.recipe import Recipe


def shipped_folder() -> Path:
    """Folder of the shipped recipes: inside an installed wheel, or the checkout's own."""
    installed = Path(__file__).with_name("recipes")
    return installed if installed.is_dir() else Path(__file__).parents[2] / "recipes"


def shipped_recipes() -> dict[str, Path]:
    """Name such as ``image/digits`` -> file, in order."""
    folder = shipped_folder()
    return {
        path.relative_to(folder).with_suffix("").as_posix(): path
        for path in sorted(folder.rglob("*.yaml"))
    }


def recipe_path(given: str) -> Path:
    """The file a person means: a path, or a shipped name with or without folder and ending.

    What is neither is returned as it is; the recipe loader says that it does not exist.

    Raises:
        UserError: A name that several recipes bear.
    """
    path = Path(given).expanduser()
    if path.is_file():
        return path
    name, recipes = given.removesuffix(".yaml").removeprefix("recipes/"), shipped_recipes()
    named = [shipped for shipped in recipes if name in (shipped, shipped.rpartition("/")[2])]
    if len(named) > 1:
        from whitebox_transformers.errors import UserError

        raise UserError(f"several recipes are called {given}: choose one of {', '.join(named)}")
    return recipes[named[0]] if named else path


def chosen_recipe(given: str, overrides: list[str] | None, smoke: bool) -> Recipe:
    """The checked recipe behind a command's arguments.

    Raises:
        UserError: It does not exist or something in it is wrong.
    """
    from whitebox_transformers.training.recipe import load_recipe
    from whitebox_transformers.training.smoke import smoke as cut_down

    recipe = load_recipe(recipe_path(given), overrides)
    return cut_down(recipe) if smoke else recipe
