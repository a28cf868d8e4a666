"""An alarm for self-distillation that answers every image alike: what it sees, what to try.

A collapsed run does not fail: its loss is finite, often low. What gives it away is that teacher and
features no longer tell images apart.
"""

from __future__ import annotations

import logging
import math
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

logger = logging.getLogger(__name__)

APART = 0.1
"""Nats by which a teacher's distribution differs from the mean of its batch, at the least."""
SPREAD = 0.05
"""Share of the largest rate that features reach at the least."""
NEAR = 0.95
"""Share of ln K from which on an entropy or a loss counts as that of a uniform distribution."""
GRACE = 0.2
"""Share of the run, and at least the time in which prototypes are frozen, before it may sound."""


def signs_of_collapse(
    scores: dict[str, float], loss: float | None, prototypes: int | None, largest_rate: float
) -> list[str]:
    """What is wrong, each with what to try; empty if images are told apart.

    Args:
        scores: Of a validation: ``rate`` in nats and, with prototypes, ``entropy`` and ``apart``.
        loss: The latest training loss; ``None`` if none is known.
        prototypes: K; ``None`` without.
        largest_rate: The rate of features that fill all dimensions evenly, in nats.
    """
    found = []
    if prototypes is not None and scores["apart"] < APART:
        uniform = math.log(prototypes)
        seen = (
            f"the teacher's distributions differ by {scores['apart']:.3f} nats between images, "
            f"their entropy is {scores['entropy']:.2f} of at most ln({prototypes}) = {uniform:.2f}"
        )
        if loss is not None:
            seen += f", the loss is {loss:.2f}"
        if scores["entropy"] > NEAR * uniform:
            found.append(
                f"{seen}: all prototypes alike for every image. Lower "
                "distillation.teacher_temperature and model.config.teacher_temperature, or "
                "train.learning_rate"
            )
        else:
            found.append(
                f"{seen}: the same few prototypes for every image. Lower "
                "model.config.centre_momentum, so that the centre follows faster, raise "
                "distillation.teacher_temperature, or lower train.learning_rate"
            )
    if scores["rate"] < SPREAD * largest_rate:
        found.append(
            f"the features' rate is {scores['rate']:.2f} nats of at most {largest_rate:.0f}: all "
            "images have nearly the same feature. Lower train.learning_rate, raise "
            "distillation.momentum" + ("" if prototypes else " or model.config.rate_weight")
        )
    return found


class CollapseAlarm(TrainerCallback):
    """Logs a warning at the first validation that shows a collapse, and again at the last one.

    The signs of every validation that has any are kept in Trainer's log, under ``collapse``.

    Args:
        steps: Length of the run.
        quiet: Steps at its beginning in which no alarm is given.
        precision: eps of the rate among the scores.
    """

    def __init__(self, steps: int, quiet: int, precision: float) -> None:
        self.steps = steps
        self.quiet = max(quiet, round(GRACE * steps))
        self.precision = precision

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float],
        **kwargs: Any,
    ) -> None:
        """Look at the scores."""
        if state.global_step <= self.quiet or not state.is_world_process_zero:
            return
        config = kwargs["model"].config
        scores = {key.removeprefix("eval_"): value for key, value in metrics.items()}
        losses = [entry["loss"] for entry in state.log_history if "loss" in entry]
        prototypes = config.num_prototypes if config.objective == "dino" else None
        most = config.hidden_size / 2 * math.log1p(self.precision**-2)
        signs = signs_of_collapse(scores, losses[-1] if losses else None, prototypes, most)
        if not signs:
            return
        earlier = any("collapse" in entry for entry in state.log_history)
        history: list[dict[str, Any]] = state.log_history
        history.append({"step": state.global_step, "collapse": signs})
        if not earlier or state.global_step >= self.steps:
            for sign in signs:
                logger.warning("collapse at step %d: %s", state.global_step, sign)
