"""Masked autoencoding of images: CRATE-MAE beside ViTMAE."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import (
    AutoModelForPreTraining,
    PreTrainedConfig,
    PreTrainedModel,
    ViTMAEConfig,
    ViTMAEForPreTraining,
)

from whitebox_transformers.crate import MAE_PRESETS, CrateMAEConfig, CrateMAEForPreTraining
from whitebox_transformers.crate.configuration_crate import pair
from whitebox_transformers.crate.image_processing_crate import CrateImageProcessor
from whitebox_transformers.crate.masking import visible_patches
from whitebox_transformers.crate.patches import normalised, patch_errors, patchify
from whitebox_transformers.data.build import ImageData, build_datasets, build_processor
from whitebox_transformers.data.config import AugmentConfig
from whitebox_transformers.data.masks import MaskNoise
from whitebox_transformers.data.protocol import Sample, Split
from whitebox_transformers.data.seeding import seed_of, seeded
from whitebox_transformers.errors import UserError
from whitebox_transformers.tasks.smoke_images import few_images
from whitebox_transformers.tasks.task import CardWords, Score, Task
from whitebox_transformers.tasks.unlabelled_images import UnlabelledImageRecipe
from whitebox_transformers.training.families import Family, ModelConfig
from whitebox_transformers.training.masked_beginning import begin_as_published

LOSS = Score("loss", "masked error", "squared error per number of a hidden patch")
EXPLAINED = Score(
    "explained",
    "explained variance",
    "1 - squared error / variance of the hidden patches",
    "{:.2%}",
    higher_is_better=True,
)
USE = """\
from transformers import pipeline

features = pipeline("image-feature-extraction", "{folder}")
features("image.png")"""


@dataclass(kw_only=True)
class MaskedImageRecipe(UnlabelledImageRecipe):
    """A recipe with ``task: masked-autoencoding``."""

    augment: AugmentConfig = field(default_factory=AugmentConfig)
    """How training images are changed."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.augment.mixes:
            raise UserError(
                "augment.mixup and augment.cutmix mix labels, of which a masked autoencoder has "
                "none; set them to 0"
            )


class MaskedAutoencoding(Task[MaskedImageRecipe, ImageData]):
    """Reconstruct the hidden patches of an image."""

    name = "masked-autoencoding"
    recipe = MaskedImageRecipe
    families = {
        "crate-mae": Family(
            "CRATE-MAE", CrateMAEConfig, CrateMAEForPreTraining, MAE_PRESETS, white_box=True
        ),
        "vit-mae": Family("ViTMAE", ViTMAEConfig, ViTMAEForPreTraining),
    }
    auto_model = AutoModelForPreTraining
    unit = "images"
    decided = {}
    scores = (LOSS, EXPLAINED)
    selection = (LOSS,)
    compared = (("validation", LOSS), ("test", LOSS), ("test", EXPLAINED))

    def check(self, model: ModelConfig, where: str) -> None:
        """As every task; a black box's mask ratio too is refused where it leaves nothing."""
        super().check(model, where)
        if model.from_ is None:
            config = self.config(model)
            try:
                visible_patches(_patches(config), config.mask_ratio)
            except ValueError as error:
                raise UserError(f"{where}.config: {error}") from error

    def prepare(self, recipe: MaskedImageRecipe) -> tuple[ImageData, CrateImageProcessor]:
        """Images in the model's size, each with the noise that hides its patches."""
        config = self.config(recipe.model)
        processor = build_processor(recipe.data, config.image_size, config.num_channels)
        noise = MaskNoise(_patches(config))
        data = build_datasets(recipe.data, recipe.augment, processor, recipe.seed, noise)
        return data, processor

    def config_fields(self, recipe: MaskedImageRecipe, data: ImageData) -> dict[str, Any]:
        """Nothing: the data decide no field."""
        return {}

    def build_model(self, recipe: MaskedImageRecipe, data: ImageData) -> PreTrainedModel:
        """As every task; a fresh black box begins as MAE's authors begin."""
        model = super().build_model(recipe, data)
        if isinstance(model, ViTMAEForPreTraining) and recipe.model.from_ is None:
            with seeded(seed_of("black box", recipe.seed)):
                begin_as_published(model)
        return model

    def seen_by_layers(self, model: PreTrainedModel, batch: Sample) -> Sample:
        """Whole images; a black box's encoder always hides patches, those of the noise."""
        if isinstance(model, ViTMAEForPreTraining):
            return batch
        return {key: value for key, value in batch.items() if key != "noise"}

    def measure_batch(self, model: nn.Module, batch: Sample) -> torch.Tensor:
        """Of the hidden patches of each image: squared error, mean and mean square."""
        config: Any = getattr(model, "module", model).config
        outputs = model(**batch)
        target = patchify(batch["pixel_values"], pair(config.patch_size))
        target = normalised(target) if config.norm_pix_loss else target
        share = outputs.mask / outputs.mask.sum(1, keepdim=True)
        values = (
            patch_errors(outputs.logits, target),
            target.float().mean(-1),
            target.float().square().mean(-1),
        )
        return torch.stack([(value * share).sum(1) for value in values], dim=1)

    def summarise(
        self, rows: torch.Tensor, split: Split, config: PreTrainedConfig
    ) -> dict[str, Any]:
        """Mean squared error, and the share of the hidden patches' variance that is explained."""
        error, mean, square = rows.mean(0).tolist()
        variance = square - mean**2
        explained = 1 - error / variance if variance > 0 else float("nan")
        return {"loss": error, "explained": explained, "images": len(rows)}

    def describe(self, scores: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Both scores and the number of images."""
        rows = [(score.title, score.show(scores[score.key])) for score in self.scores]
        return [*rows, ("images", f"{scores['images']:,}")]

    def card(
        self, recipe: MaskedImageRecipe, record: Mapping[str, Any], config: PreTrainedConfig
    ) -> CardWords:
        """Words for the model card."""
        digits = recipe.data.source == "digits"
        target = "normalised patches" if config.norm_pix_loss else "pixels"
        return CardWords(
            pipeline="image-feature-extraction",
            data="scikit-learn's digits" if digits else f"`{recipe.data.path}`",
            use=USE.format(folder=record["folder"]),
            protocol=f"Mean squared error of {target} (after the processor's normalisation) over "
            f"the hidden {config.mask_ratio:.0%} of\nthe patches of whole splits, in float32, "
            "without augmentation; which patches are hidden is drawn once for\nevery image and is "
            "the same for every model.",
            limits="it learned to fill in images like those it was trained on, from no labels.\n"
            "It was not examined for bias.",
        )

    def smoke(self, recipe: MaskedImageRecipe, folder: Path) -> MaskedImageRecipe:
        """Few images; images that are not on this machine are replaced by noise."""
        size = self.config(recipe.model).image_size
        return replace(recipe, data=few_images(recipe.data, size, folder))


def _patches(config: PreTrainedConfig) -> int:
    """Patches of an image of the configured size."""
    (height, width), (tall, wide) = pair(config.image_size), pair(config.patch_size)
    return (height // tall) * (width // wide)
