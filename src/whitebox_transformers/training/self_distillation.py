"""What self-distillation changes in every step: temperature, decay, teacher, frozen prototypes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from whitebox_transformers.errors import UserError
from whitebox_transformers.training.schedule import Schedule
from whitebox_transformers.training.settings import TrainConfig


@dataclass
class DistillationConfig:
    """Schedules of student and teacher, each a function of the step. Defaults are DINO's."""

    momentum: float = 0.996
    """Share of the old teacher that a step keeps, at the beginning; it ends at 1 along half a
    cosine. Shorter runs want less."""

    teacher_temperature: float = 0.04
    """Where the teacher's temperature begins; it rises in a line to the model's
    ``teacher_temperature``. Not read by ``simdino``."""

    temperature_warmup: float = 0.3
    """How long that takes, in steps; below 1 a share of all steps."""

    weight_decay_end: float | None = 0.4
    """Where weight decay ends, from ``train.weight_decay`` on along half a cosine; ``null``: it
    stays."""

    freeze_prototypes: float = 1.0
    """For how many epochs the prototypes stay as they were drawn (of a stream: times
    ``train.evaluate_every`` steps)."""

    def __post_init__(self) -> None:
        _inside("momentum", self.momentum, 0 <= self.momentum <= 1, "[0, 1]")
        warm = self.teacher_temperature
        _inside("teacher_temperature", warm, 0 < warm < math.inf, "(0, inf)")
        length = self.temperature_warmup
        whole = length >= 1 and float(length).is_integer()
        _inside("temperature_warmup", length, 0 <= length < 1 or whole, "[0, 1) or whole steps")
        end = self.weight_decay_end
        _inside("weight_decay_end", end, end is None or 0 <= end < math.inf, "[0, inf) or null")
        frozen = self.freeze_prototypes
        _inside("freeze_prototypes", frozen, 0 <= frozen < math.inf, "[0, inf)")


class Distil(TrainerCallback):
    """Carries the schedules out; what depends on the past is in the model and its checkpoints.

    Args:
        config: The schedules.
        train: Has the first weight decay.
        schedule: The length of the run.
    """

    def __init__(self, config: DistillationConfig, train: TrainConfig, schedule: Schedule) -> None:
        self.config = config
        self.weight_decay = train.weight_decay
        self.steps = schedule.steps
        epoch = schedule.steps_per_epoch or schedule.evaluate_every
        self.frozen = round(config.freeze_prototypes * epoch)

    def temperature(self, step: int, final: float) -> float:
        """The teacher's, in the step of this number from 0 on."""
        length = self.config.temperature_warmup
        length = length if length >= 1 else length * self.steps
        share = min(1.0, step / length) if length else 1.0
        return self.config.teacher_temperature * (1 - share) + final * share

    def momentum(self, step: int) -> float:
        """By which the teacher moves at the end of that step."""
        return _cosine(self.config.momentum, 1.0, step / self.steps)

    def decay(self, step: int) -> float:
        """Weight decay in that step."""
        end = self.config.weight_decay_end
        start = self.weight_decay
        return start if end is None else _cosine(start, end, step / self.steps)

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Set temperature and decay."""
        model = kwargs["model"]
        final = model.config.teacher_temperature
        model.teacher_temperature = self.temperature(state.global_step, final)
        # Trainer's first group holds the parameters that decay.
        kwargs["optimizer"].param_groups[0]["weight_decay"] = self.decay(state.global_step)

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Let the prototypes stay where they are."""
        prototypes = kwargs["model"].student_head.prototypes
        if prototypes is not None and state.global_step < self.frozen:
            prototypes.weight.grad = None

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Move teacher and centre; the step is counted already."""
        kwargs["model"].update_teacher(self.momentum(state.global_step - 1))


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


def _inside(key: str, value: object, valid: bool, expected: str) -> None:
    if not valid:
        raise UserError(f"distillation.{key}={value} is out of range; expected {expected}")
