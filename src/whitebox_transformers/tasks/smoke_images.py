"""Few images for a trial of a recipe, made up where there are none on this machine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from whitebox_transformers.data.config import DataConfig
from whitebox_transformers.data.location import is_folder_here
from whitebox_transformers.extras import require
from whitebox_transformers.training.processes import is_main_process

FEW = 24
NOISE_CLASSES = 4
NOISE_PER_CLASS = 10


def few_images(
    data: DataConfig, image_size: int | list[int] | tuple[int, int], folder: Path
) -> DataConfig:
    """The data of a recipe cut down; images that are not on this machine are replaced by noise.

    Args:
        data: The recipe's block.
        image_size: The model's, one number or height and width.
        folder: Receives the noise.
    """
    here = data.source == "digits" or (data.source != "hub" and is_folder_here(data.path))
    if here:
        return replace(data, limit=FEW)
    height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
    if is_main_process():
        _write_noise(folder, (height, width))
    kept = ("resize", "resize_edge", "interpolation", "mean", "std")
    return DataConfig(
        source="folder",
        path=str(folder),
        validation_share=0.25,
        **{key: getattr(data, key) for key in kept},
    )


def _write_noise(folder: Path, size: tuple[int, int]) -> None:
    """Write noise images as a class-per-folder data set, a little larger than the model's size."""
    image = require("PIL.Image", extra="train")
    draw = np.random.default_rng(0)
    for label in range(NOISE_CLASSES):
        (folder / f"class{label}").mkdir(parents=True, exist_ok=True)
        for number in range(NOISE_PER_CLASS):
            pixels = draw.integers(0, 256, (size[0] + 8, size[1] + 8, 3), dtype=np.uint8)
            image.fromarray(pixels).save(folder / f"class{label}" / f"{number}.png")
