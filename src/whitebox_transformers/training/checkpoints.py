"""Checkpoints that are complete or do not count.

A checkpoint folder is written by Trainer file by file, and the process may die in between. A seal,
written last and whole, lists every file with its size; a folder without a true seal is removed.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from whitebox_transformers.errors import UserError
from whitebox_transformers.training.batches import Position
from whitebox_transformers.training.files import read_json, write_json
from whitebox_transformers.training.processes import wait
from whitebox_transformers.training.sharding import own_part

SEAL = "complete.json"


@dataclass(frozen=True)
class Checkpoint:
    """A complete checkpoint."""

    path: Path
    step: int
    seconds: float
    """Seconds of training that led to it."""
    cpu_seconds: float
    """Seconds of all cores together, data workers left out."""
    position: Position
    """The first batch that it has not seen."""


def complete_checkpoints(folder: Path) -> list[Checkpoint]:
    """Sealed checkpoints whose files are all there in full, oldest first."""
    found = []
    for path in folder.glob("checkpoint-*"):
        if _is_complete(path):
            step = int(path.name.removeprefix("checkpoint-"))
            notes = read_json(path / SEAL)
            position = Position(**notes["position"])
            found.append(Checkpoint(path, step, notes["seconds"], notes["cpu_seconds"], position))
    return sorted(found, key=lambda checkpoint: checkpoint.step)


def remove_incomplete(folder: Path) -> None:
    """Delete what an interrupted save or deletion left behind."""
    for path in folder.glob("checkpoint-*"):
        if not _is_complete(path):
            shutil.rmtree(path)


def seal(path: Path, seconds: float, cpu_seconds: float, position: Position) -> None:
    """Declare a checkpoint complete."""
    files = [file for file in path.rglob("*") if file.is_file()]
    sizes = {str(file.relative_to(path)): file.stat().st_size for file in files}
    notes = {"seconds": seconds, "cpu_seconds": cpu_seconds, "position": asdict(position)}
    write_json(path / SEAL, notes | {"files": sizes})


def prune(folder: Path, keep: int) -> None:
    """Delete all but the latest complete checkpoints; the seal goes first."""
    for checkpoint in complete_checkpoints(folder)[:-keep]:
        (checkpoint.path / SEAL).unlink()
        shutil.rmtree(checkpoint.path)


def _is_complete(path: Path) -> bool:
    if not (path / SEAL).is_file():
        return False
    sizes = read_json(path / SEAL)["files"]
    files = [(path / name, size) for name, size in sizes.items()]
    return all(file.is_file() and file.stat().st_size == size for file, size in files)


class SealCheckpoints(TrainerCallback):
    """Seals every checkpoint that Trainer writes, then removes the oldest.

    Trainer's own rotation must be off: it deletes old checkpoints before the new one is sealed.

    Args:
        folder: Where Trainer writes checkpoints.
        keep: How many complete ones stay.
        latest: The checkpoint that this process goes on from; its times count on.
    """

    def __init__(self, folder: Path, keep: int, latest: Checkpoint | None) -> None:
        self.folder = folder
        self.keep = keep
        self.seconds_before = latest.seconds if latest else 0.0
        self.cpu_seconds_before = latest.cpu_seconds if latest else 0.0
        self._start_clock()

    def _start_clock(self) -> None:
        self._started, self._cpu_started = time.monotonic(), time.process_time()

    @property
    def seconds(self) -> float:
        """Seconds of training so far, earlier processes included."""
        return self.seconds_before + time.monotonic() - self._started

    @property
    def cpu_seconds(self) -> float:
        """The same on the cores' own clocks: all cores together, data workers left out."""
        return self.cpu_seconds_before + time.process_time() - self._cpu_started

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Start the clock."""
        self._start_clock()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Log wherever a checkpoint is due, so that no loss is averaged across an interruption."""
        if not control.should_save:
            return
        control.should_log = True
        broken = [
            name
            for name, value in kwargs["model"].named_parameters()
            if not own_part(value).isfinite().all()
        ]
        if broken:
            raise UserError(
                f"weights are not finite after step {state.global_step}, first in {broken[0]}; "
                "no checkpoint was written: lower train.learning_rate or set train.clip"
            )

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Seal the new checkpoint; only then may older ones go."""
        wait()  # every process writes a file of its own
        if state.is_world_process_zero:
            path = self.folder / f"checkpoint-{state.global_step}"
            seal(path, self.seconds, self.cpu_seconds, kwargs["train_dataloader"].position)
            prune(self.folder, self.keep)
