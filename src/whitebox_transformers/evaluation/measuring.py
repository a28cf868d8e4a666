"""Scores of a model on one split, in one pass."""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm
from transformers import PreTrainedModel

from whitebox_transformers.data.loading import evaluation_batches
from whitebox_transformers.data.protocol import Split
from whitebox_transformers.errors import UserError
from whitebox_transformers.tasks.task import Task
from whitebox_transformers.training.processes import gathered, of_main, rank, world_size


@torch.no_grad()
def measure(
    task: Task[Any, Any],
    model: PreTrainedModel,
    split: Split,
    batch_size: int,
    workers: int = 0,
    title: str = "evaluation",
    together: bool = False,
) -> dict[str, Any]:
    """Scores of one pass over a split.

    Args:
        task: What the model has learned.
        model: On the device to use.
        split: As evaluation sees it.
        batch_size: Samples at a time.
        workers: Processes that make samples.
        title: Name of the split, for the progress bar and messages.
        together: Whether all processes of a run do this; they share the samples, of which each is
            met once, and all get the scores.

    Returns:
        What the task's ``summarise`` returns.

    Raises:
        UserError: There is nothing to measure.
    """
    model.eval()
    mine, world = (rank(), world_size()) if together else (0, 1)
    pin_memory = model.device.type != "cpu"
    loader = evaluation_batches(split, batch_size, workers, pin_memory, rank=mine, world=world)
    hidden = together and rank() > 0
    own = [
        task.measure_batch(model, {key: value.to(model.device) for key, value in batch.items()})
        for batch in tqdm(loader, desc=title, leave=False, delay=1, disable=hidden)
    ]
    own = [rows.cpu().double() for rows in own]
    parts = gathered(own) if together else [own]
    scores = (
        task.summarise(_in_order(parts, title, task.unit), split, model.config) if parts else {}
    )
    return of_main(scores) if together else scores


def _in_order(parts: list[list[Tensor]], title: str, unit: str) -> Tensor:
    """Rows in the order of the split, of whose batches each process had every so manieth."""
    rows = [batch for turn in zip_longest(*parts) for batch in turn if batch is not None]
    if not rows:
        raise UserError(f"the {title} split holds no {unit}; nothing to measure")
    return torch.cat(rows)
