"""Scores of a model on one split, in one pass."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import zip_longest
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm
from transformers import PreTrainedModel

from whitebox_transformers.data.loading import evaluation_batches
from whitebox_transformers.data.protocol import Sample, Split
from whitebox_transformers.errors import UserError
from whitebox_transformers.tasks.task import Task
from whitebox_transformers.training.processes import (
    any_of,
    gathered,
    of_main,
    rank,
    world_size,
)
from whitebox_transformers.training.sharding import is_sharded


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
    number, world = (rank(), world_size()) if together else (0, 1)
    pin = model.device.type != "cpu"
    loader = evaluation_batches(split, batch_size, workers, pin, rank=number, world=world)
    hidden = number > 0
    batches = tqdm(loader, desc=title, leave=False, delay=1, disable=hidden)
    keep_step = together and is_sharded(model)
    pairs = _in_step(batches, split, batch_size) if keep_step else ((b, True) for b in batches)
    own = []
    for batch, counts in pairs:
        rows = task.measure_batch(model, {k: v.to(model.device) for k, v in batch.items()})
        if counts:
            own.append(rows.cpu().double())
    parts = gathered(own) if together else [own]
    scores = (
        task.summarise(_in_order(parts, title, task.unit), split, model.config) if parts else {}
    )
    return of_main(scores) if together else scores


def _in_step(batches: Iterable[Sample], split: Split, size: int) -> Iterator[tuple[Sample, bool]]:
    """As many batches in every process, for a model that none can run alone; with which count."""
    own = iter(batches)
    last = None
    while True:
        batch = next(own, None)
        if not any_of(batch is not None):
            return
        if batch is None and last is None:
            last = next(iter(evaluation_batches(split, size)))
        last = batch if batch is not None else last
        assert last is not None
        yield last, batch is not None


def _in_order(parts: list[list[Tensor]], title: str, unit: str) -> Tensor:
    """Rows in the order of the split, of whose batches each process had every so manieth."""
    rows = [batch for turn in zip_longest(*parts) for batch in turn if batch is not None]
    if not rows:
        raise UserError(f"the {title} split holds no {unit}; nothing to measure")
    return torch.cat(rows)
