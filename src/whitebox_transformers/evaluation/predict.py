"""Classes and probabilities for image files."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch
from transformers import AutoImageProcessor, AutoModelForImageClassification

from whitebox_transformers.crate.image_processing_crate import CrateImageProcessor
from whitebox_transformers.data.images import file_as_read
from whitebox_transformers.data.records import BadImage
from whitebox_transformers.errors import UserError
from whitebox_transformers.evaluation.class_names import class_names

BATCH = 32


@dataclass(frozen=True)
class Prediction:
    """What a model makes of one file."""

    path: Path
    label: str | None = None
    """The most probable class; ``None`` if the file could not be read."""
    probability: float | None = None
    """Its probability."""
    probabilities: dict[str, float] = field(default_factory=dict)
    """Every class, most probable first."""
    error: str | None = None
    """Why the file could not be read."""


def predict(run: str | Path, paths: list[str | Path]) -> list[Prediction]:
    """Classify image files.

    A file that cannot be used does not stop the others: its prediction carries the reason.

    Args:
        run: Run folder, or any folder with a classifier and a `CrateImageProcessor`.
        paths: Image files, in any format that Pillow reads.

    Returns:
        One prediction for each path, in the same order.

    Raises:
        UserError: There is no model in the folder, its preprocessor is another, or no file is
            named.
    """
    if not paths:
        raise UserError("no image is named; give the paths of one or more image files")
    folder = Path(run).expanduser()
    if not (folder / "config.json").is_file():
        raise UserError(f"{run} holds no model (config.json is missing); give a finished run")
    if not (folder / "preprocessor_config.json").is_file():
        raise UserError(f"{run} has no preprocessor_config.json, which says how to prepare images")
    model = AutoModelForImageClassification.from_pretrained(folder).eval()
    processor = AutoImageProcessor.from_pretrained(folder)
    if not isinstance(processor, CrateImageProcessor):
        raise UserError(
            f"{run} prepares images with {type(processor).__name__}, not with CrateImageProcessor; "
            f"classify with transformers' pipeline('image-classification', {str(run)!r})"
        )
    found: list[Prediction] = []
    for start in range(0, len(paths), BATCH):
        found += _predict_batch(model, processor, [Path(p) for p in paths[start : start + BATCH]])
    return found


def _predict_batch(model, processor, paths: list[Path]) -> list[Prediction]:
    # Each in the model's size before the next is read: photographs in full would fill the memory.
    values, errors = {}, {}
    for position, path in enumerate(paths):
        try:
            values[position] = file_as_read(path, processor)
        except BadImage as error:
            errors[position] = error.reason
    rows: dict[int, torch.Tensor] = {}
    if values:
        with torch.inference_mode():
            logits = model(pixel_values=torch.cat([*values.values()])).logits
        rows = dict(zip(values, logits.float().softmax(-1), strict=True))
    names = class_names(model)
    return [
        Prediction(path, error=errors[position])
        if position in errors
        else _prediction(path, rows[position], names)
        for position, path in enumerate(paths)
    ]


def _prediction(path: Path, row: torch.Tensor, names: dict[int, str]) -> Prediction:
    values, order = row.sort(descending=True)
    ranked = {names[int(i)]: float(value) for i, value in zip(order, values, strict=True)}
    label = next(iter(ranked))
    return Prediction(path, label, ranked[label], ranked)
