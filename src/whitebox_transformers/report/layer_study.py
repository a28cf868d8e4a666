"""The measurements behind a report: trained, untrained and kept weights on the same samples."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from whitebox_transformers.analysis.layer_report import LayerReport
from whitebox_transformers.analysis.layerwise import measure
from whitebox_transformers.data.measured import measured_batches
from whitebox_transformers.data.protocol import Sample, Splits
from whitebox_transformers.report.layer_charts import Curves
from whitebox_transformers.tasks import task_of
from whitebox_transformers.tasks.recipe import Recipe
from whitebox_transformers.tasks.text import TextRecipe
from whitebox_transformers.training.files import read_weights

# Of images, and tokens of texts; samples in a batch.
BATCH, BATCH_TOKENS = 32, 4096


@dataclass(frozen=True)
class LayerStudy:
    """Layer reports of one run.

    Attributes:
        trained: By split, ``"train"`` and ``"validation"``.
        control: The same for the untrained control.
        checkpoints: By step, validation only; empty if the run kept none.
    """

    trained: dict[str, LayerReport]
    control: dict[str, LayerReport]
    checkpoints: dict[int, LayerReport]

    def curves(self) -> dict[str, Curves]:
        """What the charts show: both splits, and the control on validation."""
        shown: dict[str, Curves] = {split: report.curves for split, report in self.trained.items()}
        shown["control"] = self.control["validation"].curves
        return shown

    def to_json(self) -> dict[str, Any]:
        """Plain values, every curve with its definition."""
        return {
            "trained": {split: report.to_json() for split, report in self.trained.items()},
            "control": {split: report.to_json() for split, report in self.control.items()},
            "checkpoints": {
                str(step): report.to_json() for step, report in self.checkpoints.items()
            },
        }


def study_layers(
    model: PreTrainedModel,
    control: PreTrainedModel,
    data: Splits,
    kept: list[tuple[int, Path]],
    samples: int,
    batch_size: int,
    seed: int,
    seen: Callable[[PreTrainedModel, Sample], Sample],
) -> LayerStudy:
    """Stream the same samples through every set of weights; memory holds one batch.

    Args:
        model: The trained model.
        control: The same architecture with fresh weights.
        data: Splits; training samples are measured without augmentation.
        kept: Steps and weight files, from ``kept_weights``.
        samples: Samples per split, drawn with ``seed``; of a stream, the first ones.
        batch_size: Samples in memory at once.
        seed: Seed of the draw.
        seen: What a model is given of a batch.
    """
    splits = {"train": data.train_plain, "validation": data.validation}

    def look(network: PreTrainedModel, split: str, whose: str) -> LayerReport:
        title = f"{whose}, {split}"
        batches = measured_batches(splits[split], samples, batch_size, seed, title)
        # Without its head, whose scores of a whole vocabulary nobody looks at.
        body: Any = network.base_model
        return measure(body, (seen(network, batch) for batch in batches))

    trained = {split: look(model, split, "trained") for split in splits}
    untrained = {split: look(control, split, "untrained") for split in splits}
    checkpoints = {}
    earlier = copy.deepcopy(model) if kept else model
    for step, path in kept:
        read_weights(path, earlier)
        checkpoints[step] = look(earlier, "validation", f"step {step}")
    return LayerStudy(trained, untrained, checkpoints)


def batch_size_of(recipe: Recipe) -> int:
    """Samples of one batch, so that it takes a moderate amount of memory."""
    if not isinstance(recipe, TextRecipe):
        return BATCH
    task = task_of(recipe)
    return max(1, min(BATCH, BATCH_TOKENS // (recipe.context or task.room(recipe))))
