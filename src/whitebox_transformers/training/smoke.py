"""A few steps of any recipe: does it fit together, before hours are spent on it?"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from whitebox_transformers.tasks import task_of
from whitebox_transformers.tasks.recipe import Recipe
from whitebox_transformers.training.families import ModelConfig
from whitebox_transformers.training.processes import join, wait

STEPS = 3
PIECE = 4


def smoke(recipe: Recipe) -> Recipe:
    """The recipe cut down to a few steps of tiny batches on few data, in a folder of its own.

    Model, optimiser, augmentation and accumulation stay, on a GPU also the precision. Data that
    are not on this machine (a missing folder, an unset variable, anything from the hub) are
    replaced as the task sees fit, and the weights of ``model.from`` that are not in a local folder
    by a fresh model of the family's default size. Of several processes the first makes things up.
    """
    join(cpu=recipe.train.device == "cpu")
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
    small = replace(
        recipe,
        out=str(folder),
        model=_startable(recipe.model),
        against=_startable(recipe.against) if recipe.against else None,
        train=train,
    )
    task = task_of(recipe)
    small = task.smoke(small, Path(f"{folder}-{task.unit}"))
    wait()
    return small


def _startable(model: ModelConfig) -> ModelConfig:
    """The model without weights that would have to be fetched."""
    here = model.from_ is None or Path(model.from_).expanduser().is_dir()
    return model if here else replace(model, from_=None)
