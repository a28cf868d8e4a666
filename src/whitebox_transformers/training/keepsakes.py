"""Weights set aside while training: the best by validation, and those at chosen steps."""

from __future__ import annotations

from collections.abc import Set
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from whitebox_transformers.tasks.task import Task
from whitebox_transformers.training.files import read_metadata
from whitebox_transformers.training.processes import of_main
from whitebox_transformers.training.sharding import store_weights


class KeepBest(TrainerCallback):
    """Writes the weights whenever validation is better than ever before.

    What is better, the task's ``selection`` says; if that is empty, what is later. The record lives
    in the file itself, so after an interruption the replayed steps meet the same record and end
    with the same file.

    Args:
        path: The safetensors file.
        task: What is learned.
    """

    def __init__(self, path: Path, task: Task) -> None:
        self.path = path
        self.task = task

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float],
        **kwargs: Any,
    ) -> None:
        """Compare with the record and replace it."""
        scores = {score.key: metrics[f"eval_{score.key}"] for score in self.task.scores}
        if of_main(state.is_world_process_zero and self._is_better(scores)):
            notes = {"step": state.global_step, "validation": scores}
            store_weights(self.path, kwargs["model"], **notes)

    def _is_better(self, scores: dict[str, float]) -> bool:
        if not (self.task.selection and self.path.is_file()):
            return True
        record = read_metadata(self.path)["validation"]
        new, old = (
            [score.rank(values[score.key]) for score in self.task.selection]
            for values in (scores, record)
        )
        return new > old


class KeepAtSteps(TrainerCallback):
    """Writes the weights alone at chosen steps, 0 being the untrained model.

    Args:
        folder: Receives ``step-00000100.safetensors`` and so on.
        steps: When.
    """

    def __init__(self, folder: Path, steps: Set[int]) -> None:
        self.folder = folder
        self.steps = steps

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Keep the untrained weights."""
        if state.global_step == 0:
            self.on_step_end(args, state, control, **kwargs)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Keep the weights of this step if it was chosen."""
        if state.global_step in self.steps:
            path = self.folder / f"step-{state.global_step:08d}.safetensors"
            store_weights(path, kwargs["model"], step=state.global_step)


def kept_weights(folder: Path) -> list[tuple[int, Path]]:
    """Steps and files written by :class:`KeepAtSteps`, in order of steps."""
    files = sorted(folder.glob("step-*.safetensors"))
    return [(int(file.stem.removeprefix("step-")), file) for file in files]
