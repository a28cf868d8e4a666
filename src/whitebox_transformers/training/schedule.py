"""The length of a run and its rhythm, all in optimiser steps."""

from __future__ import annotations

from dataclasses import dataclass

from whitebox_transformers.errors import UserError
from whitebox_transformers.training.processes import world_size
from whitebox_transformers.training.settings import TrainConfig


@dataclass(frozen=True)
class Schedule:
    """When things happen in a run."""

    steps: int
    """Length of the run."""
    steps_per_epoch: int | None
    """Whole batches in the training split; ``None`` for streams."""
    evaluate_every: int
    checkpoint_every: int
    keep: frozenset[int]
    """Steps after which a copy of the weights is kept."""


def make_schedule(train: TrainConfig, samples: int | None, unit: str = "samples") -> Schedule:
    """Turn epochs and shares into steps.

    Args:
        train: The recipe's block.
        samples: Size of the training split; ``None`` for a stream.
        unit: What samples are called in messages.

    Raises:
        UserError: The length cannot be known, the batch does not fit the samples or the processes,
            or warm-up is as long as the run.
    """
    if train.batch_size % (train.accumulate * world_size()):
        raise UserError(
            f"train.batch_size={train.batch_size} is not a multiple of train.accumulate="
            f"{train.accumulate} times {world_size()} processes; change one of them"
        )
    if samples is not None and samples < train.batch_size:
        raise UserError(
            f"train.batch_size={train.batch_size} is more than the {samples} training {unit}; "
            "lower it"
        )
    per_epoch = None if samples is None else samples // train.batch_size
    missing = [f"train.{key}" for key in ("steps", "evaluate_every") if not getattr(train, key)]
    if per_epoch is None and missing:
        raise UserError(
            f"data.streaming=true: the number of {unit} is unknown, so that nothing can be counted "
            f"in epochs; set {' and '.join(missing)}"
        )
    scale = 1 if train.steps is not None else per_epoch or 1
    steps = train.steps or max(1, round((train.epochs or 0) * scale))
    if train.warmup_steps(steps) >= steps > 1:
        raise UserError(
            f"train.warmup={train.warmup} is {train.warmup_steps(steps)} steps, "
            f"but the run has only {steps}; shorten it or give a share below 1"
        )
    evaluate_every = min(train.evaluate_every or per_epoch or steps, steps)
    return Schedule(
        steps=steps,
        steps_per_epoch=per_epoch,
        evaluate_every=evaluate_every,
        checkpoint_every=min(train.checkpoint_every or per_epoch or evaluate_every, steps),
        keep=frozenset(round(moment * scale) for moment in train.keep),
    )
