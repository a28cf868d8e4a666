"""Self-distillation of images: CRATE-DINO beside ViT that learns in the same way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import torch
from torch import nn
from transformers import AutoModelForPreTraining, PreTrainedConfig, TrainerCallback

from whitebox_transformers.crate import (
    PRESETS,
    CrateDinoConfig,
    CrateDinoForPreTraining,
    ViTDinoConfig,
    ViTDinoForPreTraining,
)
from whitebox_transformers.crate.configuration_crate import pair
from whitebox_transformers.crate.image_processing_crate import CrateImageProcessor
from whitebox_transformers.crate.rates import coding_rate
from whitebox_transformers.data.build import ImageData, build_datasets, build_processor
from whitebox_transformers.data.crops import CropsConfig, MultiCropView
from whitebox_transformers.data.protocol import Sample, Split
from whitebox_transformers.errors import UserError
from whitebox_transformers.evaluation.nearest import nearest_classes
from whitebox_transformers.tasks.smoke_images import few_images
from whitebox_transformers.tasks.task import CardWords, Score, Task
from whitebox_transformers.tasks.unlabelled_images import UnlabelledImageRecipe
from whitebox_transformers.training.collapse import CollapseAlarm
from whitebox_transformers.training.families import Family
from whitebox_transformers.training.schedule import Schedule
from whitebox_transformers.training.self_distillation import Distil, DistillationConfig

KNN = Score(
    "knn",
    "20-NN among themselves",
    "share whose class the 20 most similar others name (0 to 1)",
    "{:.2%}",
    higher_is_better=True,
)
RATE = Score("rate", "rate of features", "R of centred features of unit length (nats)", "{:.1f}",
             higher_is_better=True)  # fmt: skip
ENTROPY = Score("entropy", "teacher entropy", "of its distribution over prototypes (nats)")
APART = Score(
    "apart", "told apart", "KL of an image from the mean of its batch (nats)", higher_is_better=True
)
NEIGHBOURS = 20
PRECISION = 0.1
USE = """\
from transformers import pipeline

features = pipeline("image-feature-extraction", "{folder}")
features("image.png")"""


@dataclass(kw_only=True)
class DistillationRecipe(UnlabelledImageRecipe):
    """A recipe with ``task: self-distillation``."""

    crops: CropsConfig = field(default_factory=CropsConfig)
    """The views that student and teacher are shown."""

    distillation: DistillationConfig = field(default_factory=DistillationConfig)
    """How the teacher follows, and what is scheduled beside the learning rate."""


class SelfDistillation(Task[DistillationRecipe, ImageData]):
    """Agree with oneself about crops of the same image.

    Args:
        labelled: Whether the k-NN score can be taken.
        objective: Of the recipe's model.
    """

    name = "self-distillation"
    recipe = DistillationRecipe
    families = {
        "crate-dino": Family(
            "CRATE-DINO", CrateDinoConfig, CrateDinoForPreTraining, PRESETS, white_box=True
        ),
        "vit-dino": Family("ViT (DINO)", ViTDinoConfig, ViTDinoForPreTraining),
    }
    auto_model = AutoModelForPreTraining
    unit = "images"
    decided = {}
    # Nothing that is known without labels tells which weights are best: the last ones are kept.
    selection = ()

    def __init__(self, labelled: bool = True, objective: str = "dino") -> None:
        prototypes = (ENTROPY, APART) if objective == "dino" else ()
        self.scores = (*([KNN] if labelled else []), RATE, *prototypes)
        self.compared = tuple(("test", score) for score in self.scores)

    def of(self, recipe: DistillationRecipe) -> Self:
        """The task with the scores that its data and objective have."""
        objective = str(recipe.model.config.get("objective", "dino"))
        return type(self)(recipe.data.labelled, objective)

    def prepare(self, recipe: DistillationRecipe) -> tuple[ImageData, CrateImageProcessor]:
        """Every training image as its views; others whole, in the model's size."""
        config = self.config(recipe.model)
        for side in pair(config.patch_size):
            if recipe.crops.local_crops and recipe.crops.local_size % side:
                raise UserError(
                    f"crops.local_size={recipe.crops.local_size} is not a multiple of the patch "
                    f"({side}); change it"
                )
        if config.objective == "simdino" and recipe.train.batch_size // recipe.train.accumulate < 2:
            raise UserError(
                f"train.batch_size={recipe.train.batch_size} in {recipe.train.accumulate} pieces: "
                "simdino compares the images of a piece; take two or more in each"
            )
        processor = build_processor(recipe.data, config.image_size, config.num_channels)
        views = MultiCropView(processor, recipe.crops)
        return build_datasets(recipe.data, views, processor, recipe.seed), processor

    def config_fields(self, recipe: DistillationRecipe, data: ImageData) -> dict[str, Any]:
        """Nothing: the data decide no field."""
        return {}

    def callbacks(self, recipe: DistillationRecipe, schedule: Schedule) -> list[TrainerCallback]:
        """The schedules, the teacher's step, and the alarm for a collapse."""
        distil = Distil(recipe.distillation, recipe.train, schedule)
        return [distil, CollapseAlarm(schedule.steps, distil.frozen, PRECISION)]

    def measure_batch(self, model: nn.Module, batch: Sample) -> torch.Tensor:
        """Label, entropy, KL from the batch's mean, and the feature, of the teacher."""
        outputs = model(batch["pixel_values"])
        feature = outputs.pooler_output.float()
        entropy = apart = feature.new_zeros(len(feature))
        inner: Any = getattr(model, "module", model)
        if inner.centre is not None:
            logs = (outputs.teacher_logits.float() / inner.config.teacher_temperature).log_softmax(
                -1
            )
            share = logs.exp()
            entropy = -(share * logs).sum(-1)
            apart = (share * (logs - share.mean(0).clamp(min=1e-30).log())).sum(-1)
        labels = batch["labels"].float()
        return torch.cat([torch.stack([labels, entropy, apart], 1), feature], dim=1)

    def summarise(
        self, rows: torch.Tensor, split: Split, config: PreTrainedConfig
    ) -> dict[str, Any]:
        """Spread of the features, what the prototypes tell apart, and k-NN by the classes."""
        unit = nn.functional.normalize(rows[:, 3:], dim=-1)
        found: dict[str, Any] = {"rate": coding_rate(unit - unit.mean(0), PRECISION).item()}
        if ENTROPY in self.scores:
            found |= {"entropy": rows[:, 1].mean().item(), "apart": rows[:, 2].mean().item()}
        if KNN in self.scores:
            features, labels = unit.numpy(), rows[:, 0].long().numpy()
            k = min(NEIGHBOURS, len(rows) - 1)
            named = nearest_classes(features, labels, features, [k])[k] if k else labels
            found["knn"] = float((named == labels).mean())
        return found | {"images": len(rows)}

    def describe(self, scores: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Every score and the number of images."""
        rows = [(score.title, score.show(scores[score.key])) for score in self.scores]
        return [*rows, ("images", f"{scores['images']:,}")]

    def card(
        self, recipe: DistillationRecipe, record: Mapping[str, Any], config: PreTrainedConfig
    ) -> CardWords:
        """Words for the model card."""
        digits = recipe.data.source == "digits"
        return CardWords(
            pipeline="image-feature-extraction",
            data="scikit-learn's digits" if digits else f"`{recipe.data.path}`",
            use=USE.format(folder=record["folder"]),
            protocol="All are of the teacher, of whole splits without augmentation: the rate R of "
            f"its features at eps = {PRECISION},\nat unit length and centred; entropy of the "
            "distribution over prototypes, and how far an image's\nis from the mean of its batch; "
            "the class that the 20 most similar images of the same split vote for.\n`wbt probe` "
            "has the usual k-NN and linear probes.",
            limits="it learned what crops of an image have in common, from no labels.\n"
            "It was not examined for bias.",
        )

    def smoke(self, recipe: DistillationRecipe, folder: Path) -> DistillationRecipe:
        """Few images; images that are not on this machine are replaced by noise."""
        size = self.config(recipe.model).image_size
        return replace(recipe, data=few_images(recipe.data, size, folder))
