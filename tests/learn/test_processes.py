"""Several processes that share a batch do what one process does with all of it."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.learn.interruption import Interrupt
from tests.learn.ranks import together
from tests.learn.recipe_kinds import recipe_kinds, write_data
from tests.learn.tiny_run import tiny_recipe
from transformers import TrainerCallback

from whitebox_transformers.errors import UserError
from whitebox_transformers.training.run import train

pytestmark = pytest.mark.learn


def train_all(data: Path, out: Path) -> None:
    for name, recipe in recipe_kinds(data).items():
        train(recipe, out / name)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Every kind of recipe carried out by one process and by two."""
    base = tmp_path_factory.mktemp("processes")
    data = write_data(base / "data")
    train_all(data, base / "one")
    assert together(train_all, data, base / "two") == [0, 0]
    return base


@pytest.mark.parametrize("kind", recipe_kinds(Path("data")))
def test_two_processes_learn_what_one_learns(runs, kind):
    assert_same_learning(runs, kind, "two")


def assert_same_learning(runs: Path, kind: str, how: str) -> None:
    """Losses, weights and scores are those of one process."""
    one, two = (json.loads((runs / n / kind / "metrics.json").read_text()) for n in ("one", how))
    losses = [[entry["loss"] for entry in metrics["train"]] for metrics in (one, two)]
    assert len(losses[0]) == 6
    torch.testing.assert_close(losses[1], losses[0], rtol=0, atol=2e-6)
    first, second = (load_file(runs / n / kind / "model.safetensors") for n in ("one", how))
    assert first.keys() == second.keys()
    for name, value in first.items():
        # Adam divides by the size of a gradient, however near to rounding it is.
        torch.testing.assert_close(second[name], value, rtol=0, atol=1e-3, msg=name)
    for ours, theirs in zip(two.get("rates", []), one.get("rates", []), strict=True):
        assert ours.keys() == theirs.keys()
        for key, values in theirs.items():
            assert ours[key] == pytest.approx(values, rel=1e-3, abs=1e-4), key
    # Counts are those of the whole split: every sample once, though none divides by two.
    for split in ("best", "test"):
        assert one[split].keys() == two[split].keys()
        for key, value in one[split].items():
            if isinstance(value, int):
                assert two[split][key] == value, key
            elif isinstance(value, float):
                assert two[split][key] == pytest.approx(value, rel=1e-4, abs=1e-5), key


# How the last of these runs is carried out, leg by leg: processes, whether they cut the model, and
# the step that ends it, after a checkpoint of the step before.
LEGS = [(2, True, 2), (1, True, 3), (2, False, 4), (3, True, None)]
CUT = ("classifier", "masked", "dino", "mixed stream of images")


def train_cut(data: Path, out: Path, leg: int) -> None:
    """Models cut among the processes; all runs but the last two end in the first leg."""
    processes, cut, stop = LEGS[leg]
    assert os.environ.get("WORLD_SIZE", "1") == str(processes)
    for kind in {0: CUT, len(LEGS) - 1: CUT[-2:]}.get(leg, CUT[-1:]):
        recipe = recipe_kinds(data)[kind]
        recipe.train.shard, recipe.train.checkpoint_every = cut, 1
        stops = stop and kind in CUT[-2:]
        try:
            train(recipe, out / kind, [Interrupt([stop])] if stops else [])
        except KeyboardInterrupt:
            assert stops


def test_models_cut_among_processes_learn_the_same_and_go_on_with_another_number(runs):
    out = runs / "cut"
    for leg, (count, cut, stop) in enumerate(LEGS):
        assert together(train_cut, runs / "data", out, leg, count=count) == [0] * count
        if stop:
            seal = out / CUT[-1] / "checkpoints" / f"checkpoint-{stop - 1}" / "complete.json"
            parts = {f"optimizer_0/__{rank}_0.distcp" for rank in range(2)}
            assert (parts <= json.loads(seal.read_text())["files"].keys()) == (cut and count > 1)
    for kind in CUT:
        assert_same_learning(runs, kind, "cut")


class Signal(TrainerCallback):
    """Sends the second of two processes a signal after a step, as batch system and launcher do."""

    def __init__(self, number, step):
        self.number, self.step = number, step

    def on_step_end(self, args, state, control, **kwargs):
        if args.process_index == 1 and state.global_step == self.step:
            for _ in range(2):
                os.kill(os.getpid(), self.number)


def train_with(signal_and_step: tuple[int, int] | None, folder: Path, said: Path) -> None:
    """A run with dropout and mixup; what ends it is written down by each process."""
    try:
        train(tiny_recipe(), folder, [Signal(*signal_and_step)] if signal_and_step else [])
    except UserError as error:
        (said.parent / f"{said.name}-{os.environ['RANK']}").write_text(str(error))
        raise SystemExit(3) from error


def test_a_killed_process_ends_the_others_and_a_restart_goes_on(tmp_path):
    run, whole = tmp_path / "run", tmp_path / "whole"
    assert together(train_with, None, whole, tmp_path / "nothing") == [0, 0]
    assert together(train_with, (signal.SIGKILL, 4), run, tmp_path / "killed") == [3, -9]
    said = (tmp_path / "killed-0").read_text()
    assert "another process of the run ended" in said
    assert "checkpoint-3 is intact" in said
    # It is enough that one is told to end: all stop after the same step, with a checkpoint.
    assert together(train_with, (signal.SIGTERM, 7), run, tmp_path / "ended") == [3, 3]
    endings = {(tmp_path / f"ended-{rank}").read_text() for rank in range(2)}
    assert len(endings) == 1
    assert "SIGTERM after step 8, with a checkpoint" in endings.pop()
    assert together(train_with, None, run, tmp_path / "nothing") == [0, 0]
    first, second = (load_file(folder / "model.safetensors") for folder in (run, whole))
    assert all(torch.equal(first[name], value) for name, value in second.items())
