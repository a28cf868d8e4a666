"""The folder of a run: what lies where, and whether it may be continued."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from whitebox_transformers.errors import UserError
from whitebox_transformers.tasks.recipe import Recipe
from whitebox_transformers.training.files import read_json, write_text
from whitebox_transformers.training.recipe import differences, recipe_from_dict, recipe_to_dict

# Keys, or blocks of keys, that change how a run is carried out or shown, never what it computes.
FREE_KEYS = {
    "out",
    "against",
    "against_train",
    "train.workers",
    "train.recompute",
    "train.shard",
    "train.log_every",
    "train.checkpoint_every",
    "train.checkpoints",
    "train.tensorboard",
    "train.monitor_rates",
    "data.cache",
    "data.cache_gib",
    "data.cache_mib",
    "data.cache_folder",
}


@dataclass(frozen=True)
class RunFolder:
    """Paths of a run. The folder itself is a Hugging Face model folder."""

    path: Path

    @property
    def recipe(self) -> Path:
        """The resolved recipe."""
        return self.path / "recipe.yaml"

    @property
    def record(self) -> Path:
        """Status and provenance."""
        return self.path / "run.json"

    @property
    def metrics(self) -> Path:
        """Curves and results."""
        return self.path / "metrics.json"

    @property
    def checkpoints(self) -> Path:
        """What a run resumes from."""
        return self.path / "checkpoints"

    @property
    def best(self) -> Path:
        """Weights of the best validation so far."""
        return self.checkpoints / "best.safetensors"

    @property
    def kept(self) -> Path:
        """Weights set aside by ``train.keep``."""
        return self.path / "kept"

    @property
    def tensorboard(self) -> Path:
        """Logs for TensorBoard."""
        return self.path / "tensorboard"

    @property
    def finished(self) -> bool:
        """Whether the run came to its end."""
        return self.record.is_file() and read_json(self.record)["status"] == "finished"

    def open(self, recipe: Recipe) -> None:
        """Check that the folder is new or holds this very run; write nothing.

        Raises:
            UserError: It holds a run of another recipe (differing keys are named), or other files.
        """
        if not self.recipe.is_file():
            if self.path.exists() and not _is_free(self.path):
                raise UserError(
                    f"{self.path} exists and holds no run; give an empty or new folder with out=..."
                )
            return
        old = yaml.safe_load(self.recipe.read_text(encoding="utf-8"))
        # Keys that did not exist yet have their default. A recipe of an older kind stays as it is.
        with suppress(UserError):
            old = recipe_to_dict(recipe_from_dict(old))
        changed = {
            key: values
            for key, values in differences(old, recipe_to_dict(recipe)).items()
            if FREE_KEYS.isdisjoint({key, key.partition(".")[0]})
        }
        if changed:
            listing = "; ".join(
                f"{key} was {old!r}, is {new!r}" for key, (old, new) in changed.items()
            )
            raise UserError(
                f"{self.path} holds a run of another recipe ({listing}); "
                "repeat its values, give another folder with out=..., or delete this one"
            )

    def write_recipe(self, recipe: Recipe) -> None:
        """Write the resolved recipe."""
        text = yaml.safe_dump(recipe_to_dict(recipe), sort_keys=False, allow_unicode=True)
        write_text(self.recipe, text)


def _is_free(path: Path) -> bool:
    """Whether a folder is empty but for what an interrupted first write left."""
    return path.is_dir() and all(entry.name.startswith(".") for entry in path.iterdir())


def find_run(path: str | Path) -> RunFolder:
    """The folder of an existing run.

    Raises:
        UserError: There is none.
    """
    folder = RunFolder(Path(path).expanduser())
    if not folder.recipe.is_file():
        raise UserError(f"{path} is not a run folder: it has no recipe.yaml (see `wbt train`)")
    return folder


def recipe_of(folder: RunFolder) -> Recipe:
    """The resolved recipe a run was made with.

    Raises:
        UserError: It is not a recipe of this version; the file is named.
    """
    values: dict[str, Any] = yaml.safe_load(folder.recipe.read_text(encoding="utf-8"))
    try:
        return recipe_from_dict(values)
    except UserError as error:
        raise UserError(f"{folder.recipe}: {error}") from error
