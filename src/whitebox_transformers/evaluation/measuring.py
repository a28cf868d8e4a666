"""Scores of a model on one split, in one pass."""

from __future__ import annotations

from typing import Any

import torch
from tqdm import tqdm
from transformers import PreTrainedModel

from whitebox_transformers.data.loading import evaluation_batches
from whitebox_transformers.data.protocol import Split
from whitebox_transformers.errors import UserError
from whitebox_transformers.tasks.task import Task


@torch.inference_mode()
def measure(
    task: Task[Any, Any],
    model: PreTrainedModel,
    split: Split,
    batch_size: int,
    workers: int = 0,
    title: str = "evaluation",
) -> dict[str, Any]:
    """Scores of one pass over a split.

    Args:
        task: What the model has learned.
        model: On the device to use.
        split: As evaluation sees it.
        batch_size: Samples at a time.
        workers: Processes that make samples.
        title: Name of the split, for the progress bar and messages.

    Returns:
        What the task's ``summarise`` returns.

    Raises:
        UserError: There is nothing to measure.
    """
    model.eval()
    loader = evaluation_batches(split, batch_size, workers)
    rows = [
        task.measure_batch(model, {key: value.to(model.device) for key, value in batch.items()})
        for batch in tqdm(loader, desc=title, leave=False, delay=1)
    ]
    if not rows:
        raise UserError(f"the {title} split holds no {task.unit}; nothing to measure")
    return task.summarise(torch.cat(rows).cpu().double(), split, model.config)
