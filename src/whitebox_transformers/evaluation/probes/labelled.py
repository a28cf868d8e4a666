"""Which labelled images a probe reads: the run's own, or others by a word on the command line."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from whitebox_transformers.data.config import AugmentConfig, DataConfig
from whitebox_transformers.data.location import expand
from whitebox_transformers.errors import UserError
from whitebox_transformers.training.run_folder import find_run, recipe_of
from whitebox_transformers.training.strict import apply_overrides, build, plain

HUB = "hub:"
# The folder of the model says how its images are prepared.
PREPARED = ("resize", "resize_edge", "interpolation", "mean", "std")


@dataclass
class ProbedImages:
    """What the keys of a probe are read into: the same blocks as a recipe's."""

    data: DataConfig
    augment: AugmentConfig = field(
        # DINO's, for its linear probe.
        default_factory=lambda: AugmentConfig(crop="resized", flip=0.5)
    )


def probed_images(run: str, name: str | None, overrides: list[str]) -> ProbedImages:
    """The images and their augmentation.

    Args:
        run: The model's folder; asked only if ``name`` is ``None``.
        name: ``digits``, a folder of parquet files, a folder of images, or ``hub:NAME``;
            ``None``: the data that the run was trained on.
        overrides: ``data.KEY=VALUE`` and ``augment.KEY=VALUE``, which win.

    Raises:
        UserError: There is no such folder, the model is no run and ``name`` is missing, a key is
            unknown or is not a probe's to set, or a value is wrong.
    """
    for override in overrides:
        block, _, key = override.partition("=")[0].partition(".")
        if block == "data" and key in PREPARED:
            raise UserError(
                f"{override}: a probe prepares images as the model's preprocessor_config.json "
                "says; leave this key out"
            )
    block = _of_run(run) if name is None else _named(name)
    images = build(ProbedImages, apply_overrides({"data": block}, overrides))
    if not images.data.labelled:
        raise UserError(
            f"the data of {run} have no labels; name labelled images with --data: digits, a "
            "folder, or hub:NAME"
        )
    return images


def _of_run(run: str) -> dict:
    if not (Path(run).expanduser() / "recipe.yaml").is_file():
        raise UserError(
            f"{run} is a model without a recipe; name the labelled images with --data: digits, a "
            "folder, or hub:NAME"
        )
    recipe = recipe_of(find_run(run))
    data = getattr(recipe, "data", None)
    if not isinstance(data, DataConfig):
        raise UserError(f"{run} is a run with task {recipe.task!r}; a probe judges image models")
    return plain(data)


def _named(name: str) -> dict:
    if name == "digits":
        return {"source": "digits"}
    if name.startswith(HUB):
        return {"source": "hub", "path": name.removeprefix(HUB)}
    folder = Path(expand(name, "--data"))
    if not folder.is_dir():
        raise UserError(
            f"--data={name}: no such folder; give digits, a folder of parquet files or of images, "
            "or hub:NAME"
        )
    source = "parquet" if any(folder.glob("*.parquet")) else "folder"
    return {"source": source, "path": str(folder)}
