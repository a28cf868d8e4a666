"""From a recipe to its images and their preprocessing."""

from __future__ import annotations

from whitebox_transformers.crate.image_processing_crate import CrateImageProcessor
from whitebox_transformers.data.build import ImageData, build_datasets, build_processor
from whitebox_transformers.training.families import build_config
from whitebox_transformers.training.recipe import Recipe


def prepare_data(recipe: Recipe) -> tuple[ImageData, CrateImageProcessor]:
    """Images in the size and number of channels that the recipe's model reads.

    Raises:
        UserError: The data cannot be found or used; see the ``data:`` block.
    """
    config = build_config(recipe.model, ["0", "1"])
    processor = build_processor(recipe.data, config.image_size, config.num_channels)
    return build_datasets(recipe.data, recipe.augment, processor, recipe.seed), processor
