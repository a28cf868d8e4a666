"""A finished run: its model, and its score on one of its splits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from whitebox_transformers.crate import quantize
from whitebox_transformers.errors import UserError
from whitebox_transformers.evaluation.measuring import measure
from whitebox_transformers.tasks import task_of
from whitebox_transformers.tasks.recipe import Recipe
from whitebox_transformers.training.progress import without_bars
from whitebox_transformers.training.run_folder import find_run, recipe_of

SPLITS = ("train", "validation", "test")


def evaluate(run: str | Path, split: str = "test", int8: bool = False) -> dict[str, Any]:
    """Measure a finished run on one of its splits, without augmentation.

    Args:
        run: Run folder.
        split: ``train``, ``validation`` or ``test``.
        int8: Measure the model as :func:`..crate.quantizing.quantize` makes it, on the CPU.

    Returns:
        The scores of the run's task, e.g. ``accuracy`` and ``loss``.

    Raises:
        UserError: No finished run there, an unknown split, the data cannot be found, or the
            model does not quantise.
    """
    if split not in SPLITS:
        raise UserError(f"split {split!r} is not known; choose one of: {', '.join(SPLITS)}")
    model, recipe = load_run(run)
    task = task_of(recipe)
    data = task.data_of_run(recipe, Path(run).expanduser())
    chosen = {"train": data.train_plain, "validation": data.validation, "test": data.test}[split]
    if chosen is None:
        raise UserError(f"{run} has no {split} split; its recipe set nothing apart for it")
    if int8:
        model = quantized(model)
    return measure(task, model, chosen, recipe.train.batch_size, recipe.train.workers, split)


def quantized(model: PreTrainedModel) -> PreTrainedModel:
    """A model in int8 on the CPU.

    Raises:
        UserError: It is not of the family, or this PyTorch has no int8 products.
    """
    try:
        return quantize(model.cpu())  # pyright: ignore[reportArgumentType]
    except (TypeError, RuntimeError) as error:
        raise UserError(f"int8: {error}") from error


def load_run(run: str | Path) -> tuple[PreTrainedModel, Recipe]:
    """The model of a finished run, on the device its recipe names, and the recipe.

    Raises:
        UserError: No run there, or it is not finished.
    """
    folder = find_run(run)
    if not folder.finished:
        raise UserError(f"{run} is not finished; `wbt train` with the same command resumes it")
    recipe = recipe_of(folder)
    with without_bars():
        model = task_of(recipe).auto_model.from_pretrained(folder.path)
    accelerated = recipe.train.device == "auto" and torch.accelerator.is_available()
    return model.to(torch.accelerator.current_accelerator() if accelerated else "cpu"), recipe
