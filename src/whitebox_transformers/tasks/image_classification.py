"""Image classification: CRATE beside ViT."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from transformers import (
    AutoModelForImageClassification,
    PreTrainedConfig,
    ViTConfig,
    ViTForImageClassification,
    ViTMAEConfig,
)

from whitebox_transformers.crate import (
    MAE_PRESETS,
    CrateDinoConfig,
    CrateDinoForImageClassification,
    CrateMAEConfig,
    CrateMAEForImageClassification,
    ViTDinoConfig,
    ViTDinoForImageClassification,
)
from whitebox_transformers.crate.configuration_crate import PRESETS, CrateConfig
from whitebox_transformers.crate.image_processing_crate import CrateImageProcessor
from whitebox_transformers.crate.modeling_crate import CrateForImageClassification
from whitebox_transformers.data.build import ImageData, build_datasets, build_processor
from whitebox_transformers.data.config import AugmentConfig, DataConfig
from whitebox_transformers.data.protocol import Sample, Split
from whitebox_transformers.errors import UserError
from whitebox_transformers.tasks.recipe import Recipe
from whitebox_transformers.tasks.smoke_images import few_images
from whitebox_transformers.tasks.task import CardWords, Score, Task, without_labels
from whitebox_transformers.training.families import Family
from whitebox_transformers.training.objective import ClassificationLoss

ACCURACY = Score(
    "accuracy", "accuracy", "share classified correctly (0 to 1)", "{:.2%}", higher_is_better=True
)
LOSS = Score("loss", "loss", "cross-entropy per image (nats)")
USE = """\
from transformers import pipeline

classify = pipeline("image-classification", "{folder}")
classify("image.png")"""


@dataclass(kw_only=True)
class ImageRecipe(Recipe):
    """A recipe with ``task: image-classification``."""

    data: DataConfig = field(default_factory=DataConfig)
    """Where the images come from."""

    augment: AugmentConfig = field(default_factory=AugmentConfig)
    """How training images are changed."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.data.labelled:
            raise UserError(
                "data.labelled=false: a classifier learns from classes; put the images of each "
                "into a folder of its own, or choose a task that learns without labels"
            )


class ImageClassification(Task[ImageRecipe, ImageData]):
    """Name the class of an image."""

    name = "image-classification"
    recipe = ImageRecipe
    families = {
        "crate": Family("CRATE", CrateConfig, CrateForImageClassification, PRESETS, white_box=True),
        "crate-mae": Family(
            "CRATE-MAE", CrateMAEConfig, CrateMAEForImageClassification, MAE_PRESETS, white_box=True
        ),
        "crate-dino": Family(
            "CRATE-DINO", CrateDinoConfig, CrateDinoForImageClassification, PRESETS, white_box=True
        ),
        "vit": Family(
            "ViT",
            ViTConfig,
            ViTForImageClassification,
            goes_on_from=(ViTMAEConfig, ViTDinoConfig),
        ),
        "vit-dino": Family("ViT (DINO)", ViTDinoConfig, ViTDinoForImageClassification),
    }
    auto_model = AutoModelForImageClassification
    unit = "images"
    decided = dict.fromkeys(("num_labels", "id2label", "label2id"), "classes come from the data")
    scores = (ACCURACY, LOSS)
    selection = (ACCURACY, LOSS)
    compared = (("test", ACCURACY),)

    def prepare(self, recipe: ImageRecipe) -> tuple[ImageData, CrateImageProcessor]:
        """Images in the size and number of channels that the recipe's model reads."""
        config = self.config(recipe.model)
        processor = build_processor(recipe.data, config.image_size, config.num_channels)
        return build_datasets(recipe.data, recipe.augment, processor, recipe.seed), processor

    def config_fields(self, recipe: ImageRecipe, data: ImageData) -> dict[str, Any]:
        """The classes, by name and number."""
        return {
            "id2label": dict(enumerate(data.labels)),
            "label2id": {label: index for index, label in enumerate(data.labels)},
        }

    def facts(self, data: ImageData) -> dict[str, Any]:
        """The number of classes."""
        return {"classes": len(data.labels)}

    def objective(self, recipe: ImageRecipe) -> ClassificationLoss:
        """Cross-entropy, for mixed labels too."""
        return ClassificationLoss(recipe.train.label_smoothing)

    def measure_batch(self, model: nn.Module, batch: Sample) -> torch.Tensor:
        """Label, predicted class, whether the label is among the first five, cross-entropy."""
        labels = batch["labels"]
        logits = model(**without_labels(batch)).logits.float()
        best = logits.topk(min(5, logits.shape[-1])).indices
        among_best = (best == labels[:, None]).any(-1)
        losses = functional.cross_entropy(logits, labels, reduction="none")
        return torch.stack([labels.float(), best[:, 0].float(), among_best.float(), losses], 1)

    def summarise(
        self, rows: torch.Tensor, split: Split, config: PreTrainedConfig
    ) -> dict[str, Any]:
        """Accuracy (top-1), loss (cross-entropy), images, and the accuracy of every class shown.

        With more than five classes ``top5_accuracy`` as well.
        """
        labels, predicted, among_best, losses = rows.unbind(1)
        names = {int(number): name for number, name in (config.id2label or {}).items()}
        classes = len(names)
        right = labels == predicted
        seen = torch.bincount(labels.long(), minlength=classes)
        hits = torch.bincount(labels[right].long(), minlength=classes)
        scores: dict[str, Any] = {
            "accuracy": right.double().mean().item(),
            "loss": losses.mean().item(),
            "images": len(rows),
        }
        if classes > 5:
            scores["top5_accuracy"] = among_best.mean().item()
        shares = (hits / seen).tolist()
        scores["class_accuracy"] = {names[i]: shares[i] for i in range(classes) if seen[i] > 0}
        return scores

    def describe(self, scores: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Overall scores, then class by class."""
        rows = [("accuracy", f"{scores['accuracy']:.2%}")]
        if "top5_accuracy" in scores:
            rows.append(("top-5 accuracy", f"{scores['top5_accuracy']:.2%}"))
        rows += [("cross-entropy", f"{scores['loss']:.4f}"), ("images", f"{scores['images']:,}")]
        by_class = scores["class_accuracy"].items()
        return rows + [(f"class {name}", f"{share:.2%}") for name, share in by_class]

    def card(
        self, recipe: ImageRecipe, record: Mapping[str, Any], config: PreTrainedConfig
    ) -> CardWords:
        """Words for the model card."""
        digits = recipe.data.source == "digits"
        return CardWords(
            pipeline="image-classification",
            data="scikit-learn's digits" if digits else f"`{recipe.data.path}`",
            use=USE.format(folder=record["folder"]),
            protocol="Top-1 accuracy and cross-entropy of one pass over whole splits, in float32, "
            "without augmentation.",
            limits=f"it knows the {record['classes']} classes of its data and answers every image "
            "with one of\nthem. It was not examined for bias or for images unlike those it was "
            "trained on.",
        )

    def smoke(self, recipe: ImageRecipe, folder: Path) -> ImageRecipe:
        """Few images; images that are not on this machine are replaced by noise."""
        size = self.config(recipe.model).image_size
        return replace(recipe, data=few_images(recipe.data, size, folder))
