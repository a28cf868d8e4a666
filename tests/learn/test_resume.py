import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from tests.learn.interruption import Interrupt, assert_same_run
from tests.learn.tiny_run import tiny_recipe

from whitebox_transformers.data.config import DataConfig
from whitebox_transformers.errors import UserError
from whitebox_transformers.training import run
from whitebox_transformers.training.run import train

pytestmark = pytest.mark.learn
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "whole"
    train(tiny_recipe(), folder)
    return folder


@pytest.mark.parametrize(
    ("stops", "workers"),
    [
        pytest.param([2, 4, 11], 0, id="before-and-after-checkpoints"),
        pytest.param([3, 12], 0, id="where-a-checkpoint-is-due"),
        pytest.param([7], 2, id="with-workers"),
    ],
)
def test_interrupted_run_equals_the_unbroken_one(tmp_path, whole, stops, workers):
    recipe = tiny_recipe(workers=workers)
    interrupt = Interrupt(stops)
    for _ in stops:
        with pytest.raises(KeyboardInterrupt):
            train(recipe, tmp_path / "run", [interrupt])
    # The number of workers is free to change in the middle of a run.
    train(tiny_recipe(), tmp_path / "run")
    assert_same_run(tmp_path / "run", whole)


@pytest.mark.parametrize(("place", "step"), [("step", 8), ("save", 6)])
def test_killed_process_resumes_to_equal_weights(tmp_path, whole, place, step):
    folder = tmp_path / "run"
    command = [sys.executable, "-m", "tests.learn.kill_me", str(folder), place, str(step)]
    died = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert died.returncode == -9, died.stderr
    if place == "save":
        assert (folder / "checkpoints/checkpoint-6/optimizer.pt").read_bytes() == b"half"
        # With one checkpoint to keep, the complete one must have survived.
        assert (folder / "checkpoints/checkpoint-3/complete.json").is_file()
    train(tiny_recipe(), folder)
    assert_same_run(folder, whole)


def test_interrupted_while_finishing(tmp_path, whole, monkeypatch):
    def die(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(run, "model_card", die)
        with pytest.raises(KeyboardInterrupt):
            train(tiny_recipe(), tmp_path / "run")
    assert json.loads((tmp_path / "run/run.json").read_text())["status"] == "running"
    result = train(tiny_recipe(), tmp_path / "run")
    assert not result.already_finished
    assert_same_run(tmp_path / "run", whole)


def test_finished_run_returns_its_result(whole):
    before = (whole / "run.json").read_text()
    assert train(tiny_recipe(), whole).already_finished
    assert (whole / "run.json").read_text() == before


def test_folder_of_another_recipe_is_refused_by_key(whole):
    other = replace(tiny_recipe(learning_rate=0.02), seed=3)
    with pytest.raises(UserError, match=r"seed was 0, is 3; train\.learning_rate was 0\.01"):
        train(other, whole)


def test_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(UserError, match="holds no run"):
        train(tiny_recipe(), tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.tex"]


def test_stream_resumes_at_its_position(tmp_path):
    draw = np.random.default_rng(0)
    for split, count in (("train", 20), ("val", 3), ("test", 3)):
        for label in ("a", "b"):
            folder = tmp_path / "images" / split / label
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = draw.integers(0, 256, (8, 8), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")
    recipe = tiny_recipe(steps=5, batch_size=16, evaluate_every=5, checkpoint_every=2)
    recipe.data = DataConfig(source="folder", path=str(tmp_path / "images"), streaming=True)
    train(recipe, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path / "run", [Interrupt([3])])
    train(recipe, tmp_path / "run")
    found, expected = (load_file(tmp_path / n / "model.safetensors") for n in ("run", "whole"))
    assert all(torch.equal(found[key], expected[key]) for key in expected)
