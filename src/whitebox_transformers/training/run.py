"""One run: from a recipe to a folder with a model, its scores and its history."""

from __future__ import annotations

import os
import shutil
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, TrainerCallback, TrainerState
from transformers.integrations import TensorBoardCallback

from whitebox_transformers.data.protocol import Splits, length_of
from whitebox_transformers.tasks import task_of
from whitebox_transformers.tasks.recipe import Recipe
from whitebox_transformers.tasks.task import Preprocessor, Task
from whitebox_transformers.training.batches import Position
from whitebox_transformers.training.checkpoints import (
    Checkpoint,
    SealCheckpoints,
    complete_checkpoints,
    remove_incomplete,
)
from whitebox_transformers.training.families import trainable_parameters
from whitebox_transformers.training.files import read_json, read_weights, write_json, write_text
from whitebox_transformers.training.keepsakes import KeepAtSteps, KeepBest
from whitebox_transformers.training.lock import alone_in
from whitebox_transformers.training.machine_faults import told_plainly
from whitebox_transformers.training.model_card import model_card
from whitebox_transformers.training.optimizer import check_optimizer
from whitebox_transformers.training.processes import (
    first_here_first,
    is_main_process,
    join,
    wait,
    world_size,
)
from whitebox_transformers.training.progress import ProgressLine, without_bars
from whitebox_transformers.training.provenance import provenance
from whitebox_transformers.training.rate_monitor import monitored
from whitebox_transformers.training.run_folder import RunFolder, recipe_of
from whitebox_transformers.training.schedule import Schedule, make_schedule
from whitebox_transformers.training.sharding import (
    is_sharded,
    whole_copy,
    without_needless_warnings,
)
from whitebox_transformers.training.trainer import WhiteboxTrainer


@dataclass(frozen=True)
class RunResult:
    """What a finished run came to."""

    folder: Path
    family: str
    """As the recipe names it."""
    parameters: int
    """Trainable, embeddings included."""
    scores: dict[str, float]
    """On the test split, by the keys of the task's scores; empty where there is no test split."""
    validation: dict[str, float]
    """The same on the validation split."""
    seconds: float
    """Time spent training and validating, interruptions left out."""
    already_finished: bool
    """Whether the folder held the finished run and nothing was done."""

    def on(self, split: str) -> dict[str, float]:
        """Scores on the ``validation`` or the ``test`` split."""
        return {"validation": self.validation, "test": self.scores}[split]


def train(
    recipe: Recipe,
    run_dir: str | Path | None = None,
    callbacks: list[TrainerCallback] | None = None,
) -> RunResult:
    """Carry out a run, resume it, or return the result it already has.

    Killed at any moment and called again with the same recipe, it ends with the same weights, bit
    by bit, as an unbroken run on the same machine.

    Args:
        recipe: What to do.
        run_dir: Run folder; ``None``: the recipe's own.
        callbacks: Hugging Face callbacks that watch the training.

    Raises:
        UserError: The data or the model cannot be used, the folder holds something else or is in
            use by another process, the loss stops being a number, or the machine lacks memory,
            room on its disk or a data worker.
        Terminated: SIGTERM came; a checkpoint is written.
    """
    join(cpu=recipe.train.device == "cpu")
    folder = RunFolder(Path(run_dir).expanduser() if run_dir else recipe.folder)
    folder.open(recipe)
    if folder.finished:
        return _result(folder, already_finished=True)
    wait()  # or the first would write what others find when they look whether it is a new run
    # The first process of a run keeps strangers out for all of them.
    with alone_in(folder.path) if is_main_process() else nullcontext():
        _carry_out(recipe, folder, callbacks or [])
    return _result(folder, already_finished=False)


def _carry_out(recipe: Recipe, folder: RunFolder, callbacks: list[TrainerCallback]) -> None:
    """Train from the start or the latest checkpoint on, and write the results."""
    task = task_of(recipe)
    with first_here_first():
        data, preprocessor = task.prepare(recipe)
    model = task.build_model(recipe, data)
    splits = {"train": data.train, "validation": data.validation, "test": data.test}
    counts = {name: length_of(split) for name, split in splits.items() if split is not None}
    schedule = make_schedule(recipe.train, counts["train"], task.unit)
    record = provenance() | {
        "status": "running",
        "folder": str(folder.path),
        "seed": recipe.seed,
        "parameters": trainable_parameters(model),
        **task.facts(data),
        task.unit: counts,
        "steps": schedule.steps,
        "started": _now(),
    }
    check_optimizer(model, recipe.train)
    if is_main_process():
        folder.write_recipe(recipe)
        write_json(folder.record, _first_start(folder, record))
        remove_incomplete(folder.checkpoints)
    wait()
    latest = (complete_checkpoints(folder.checkpoints) or [None])[-1]
    trainer, clock = _make_trainer(recipe, folder, model, data, schedule, latest)
    for callback in callbacks:
        trainer.add_callback(callback)
    # The screen belongs to the run's own line.
    with (
        without_bars(),
        without_needless_warnings(),
        told_plainly(recipe, folder.checkpoints, lambda: trainer.state.global_step),
    ):
        _fit(trainer, latest)
        _finish(recipe, folder, trainer, data, preprocessor, clock)


def _make_trainer(
    recipe: Recipe,
    folder: RunFolder,
    model: PreTrainedModel,
    data: Splits,
    schedule: Schedule,
    latest: Checkpoint | None,
) -> tuple[WhiteboxTrainer, SealCheckpoints]:
    position = latest.position if latest else Position()
    trainer = WhiteboxTrainer(
        recipe, model, data.train, data.validation, folder.checkpoints, schedule, position
    )
    title, shown = f"{recipe.name} ({recipe.model.family})", trainer.task.headline
    trainer.add_callback(KeepBest(folder.best, trainer.task))
    trainer.add_callback(KeepAtSteps(folder.kept, schedule.keep))
    trainer.add_callback(ProgressLine(title, shown, schedule.steps_per_epoch))
    if recipe.train.tensorboard and is_main_process():
        from torch.utils.tensorboard import SummaryWriter

        # Entries of steps that will be repeated are taken back.
        writer = SummaryWriter(folder.tensorboard, purge_step=latest.step if latest else 0)
        trainer.add_callback(TensorBoardCallback(writer))
    trainer.add_callback(trainer.stop)
    clock = SealCheckpoints(folder.checkpoints, recipe.train.checkpoints, latest)
    trainer.add_callback(clock)
    return trainer, clock


def _fit(trainer: WhiteboxTrainer, latest: Checkpoint | None) -> None:
    """Train from the latest checkpoint on, unless it is the last step's already."""
    if latest is not None and latest.step >= trainer.schedule.steps:
        # Trainer would take one step too many; only the history is needed.
        trainer.state = TrainerState.load_from_json(str(latest.path / "trainer_state.json"))
        return
    try:
        with trainer.stop.listening():
            trainer.train(resume_from_checkpoint=str(latest.path) if latest else None)
    finally:
        for callback in trainer.callback_handler.callbacks:
            if isinstance(callback, ProgressLine):
                callback.close()


def _finish(
    recipe: Recipe,
    folder: RunFolder,
    trainer: WhiteboxTrainer,
    data: Splits,
    preprocessor: Preprocessor,
    clock: SealCheckpoints,
) -> None:
    """Write model, scores and card; the record that says so comes last.

    All processes measure, the main one writes.
    """
    wait()
    task = trainer.task
    model = trainer.trained_model()
    if is_sharded(model):
        model = whole_copy(model)
    best = read_weights(folder.best, model)
    metrics = _curves(trainer.state, task) | {"best": {"step": best["step"]} | best["validation"]}
    if data.test is not None:
        batch = recipe.train.batch_size // world_size()
        metrics["test"] = trainer.measure(model, data.test, batch, "test")
    if is_main_process():
        _save_model(folder.path, model, preprocessor)
        _write_results(recipe, folder, model, metrics, clock)
    wait()


def _write_results(
    recipe: Recipe,
    folder: RunFolder,
    model: PreTrainedModel,
    metrics: dict[str, Any],
    clock: SealCheckpoints,
) -> None:
    write_json(folder.metrics, metrics)
    spent = {"seconds": round(clock.seconds, 1), "cpu_seconds": round(clock.cpu_seconds, 1)}
    record = read_json(folder.record) | spent | {"finished": _now()}
    write_text(folder.path / "README.md", model_card(recipe, record, metrics, model.config))
    write_json(folder.record, record | {"status": "finished"})


def _save_model(folder: Path, model: PreTrainedModel, preprocessor: Preprocessor) -> None:
    """Save in the run folder itself, each file whole, so that ``from_pretrained(run)`` works."""
    staging = folder / ".model"
    shutil.rmtree(staging, ignore_errors=True)
    model.save_pretrained(staging)
    preprocessor.save_pretrained(staging)
    for file in staging.iterdir():
        os.replace(file, folder / file.name)
    staging.rmdir()


def _curves(state: TrainerState, task: Task) -> dict[str, Any]:
    """Training and validation curves of a run, from Trainer's log."""
    train = ("step", "epoch", "loss", "grad_norm", "learning_rate")
    validation = {f"eval_{score.key}": score.key for score in task.scores}
    rates = monitored(state.log_history)
    return ({"rates": rates} if rates else {}) | {
        "train": [
            {key: entry[key] for key in train if key in entry}
            for entry in state.log_history
            if "loss" in entry
        ],
        "validation": [
            {"step": entry["step"], "epoch": entry["epoch"]}
            | {name: entry[key] for key, name in validation.items()}
            for entry in state.log_history
            if f"eval_{task.scores[0].key}" in entry
        ],
    }


def _result(folder: RunFolder, already_finished: bool) -> RunResult:
    record, metrics, recipe = read_json(folder.record), read_json(folder.metrics), recipe_of(folder)
    keys = [score.key for score in task_of(recipe).scores]
    return RunResult(
        folder=folder.path,
        family=recipe.model.family,
        parameters=record["parameters"],
        scores={key: metrics["test"][key] for key in keys} if "test" in metrics else {},
        validation={key: metrics["best"][key] for key in keys},
        seconds=record["seconds"],
        already_finished=already_finished,
    )


def _first_start(folder: RunFolder, record: dict[str, Any]) -> dict[str, Any]:
    """Keep the time of the first start and count the starts of a run that was interrupted."""
    before = read_json(folder.record) if folder.record.is_file() else {}
    started = before.get("started", record["started"])
    return record | {"started": started, "starts": before.get("starts", 0) + 1}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
