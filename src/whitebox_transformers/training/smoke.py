"""A few steps of any recipe: does it fit together, before hours are spent on it?"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from whitebox_transformers.data.config import DataConfig
from whitebox_transformers.data.location import expand
from whitebox_transformers.errors import UserError
from whitebox_transformers.extras import require
from whitebox_transformers.training.families import build_config
from whitebox_transformers.training.recipe import Recipe

STEPS = 3
PIECE = 4
LOCAL_IMAGES = 24
CLASSES = 4
IMAGES_PER_CLASS = 10


def smoke(recipe: Recipe) -> Recipe:
    """The recipe cut down to a few steps of tiny batches on few images, in a folder of its own.

    Model, optimiser, augmentation and accumulation stay, on a GPU also the precision. Images that
    are not on this machine (a missing folder, an unset variable, anything from the hub) are
    replaced by noise, and pretrained weights that are not in a local folder by a fresh model of the
    family's default size.
    """
    if recipe.model.pretrained and not Path(recipe.model.pretrained).expanduser().is_dir():
        recipe = replace(recipe, model=replace(recipe.model, pretrained=None))
    accumulate = min(recipe.train.accumulate, 2)
    train = replace(
        recipe.train,
        epochs=None,
        steps=STEPS,
        batch_size=PIECE * accumulate,
        accumulate=accumulate,
        warmup=min(recipe.train.warmup, 1.0),
        # Processors without bfloat16 instructions would take minutes for a step.
        bf16=recipe.train.bf16 and torch.accelerator.is_available(),
        workers=min(recipe.train.workers, 1),
        evaluate_every=STEPS,
        checkpoint_every=STEPS - 1,
        keep=[0.0] if recipe.train.keep else [],
        log_every=1,
    )
    folder = recipe.folder.with_name(f"{recipe.folder.name}-smoke")
    data = replace(recipe.data, limit=LOCAL_IMAGES)
    if not _is_here(recipe.data):
        data = _noise(recipe, Path(f"{folder}-images"))
    return replace(recipe, out=str(folder), data=data, train=train)


def _is_here(data: DataConfig) -> bool:
    if data.source in ("digits", "hub"):
        return data.source == "digits"
    try:
        return Path(expand(data.path)).is_dir()
    except UserError:
        return False


def _noise(recipe: Recipe, folder: Path) -> DataConfig:
    """Write noise images as a class-per-folder data set and point the recipe at it."""
    image = require("PIL.Image", extra="train")
    config = build_config(recipe.model, ["0", "1"])
    size = config.image_size
    height, width = (size, size) if isinstance(size, int) else size
    draw = np.random.default_rng(0)
    for label in range(CLASSES):
        (folder / f"class{label}").mkdir(parents=True, exist_ok=True)
        for number in range(IMAGES_PER_CLASS):
            pixels = draw.integers(0, 256, (height + 8, width + 8, 3), dtype=np.uint8)
            image.fromarray(pixels).save(folder / f"class{label}" / f"{number}.png")
    kept = ("resize", "resize_edge", "interpolation", "mean", "std")
    return DataConfig(
        source="folder",
        path=str(folder),
        validation_share=0.25,
        **{key: getattr(recipe.data, key) for key in kept},
    )
