"""The commands a run goes through, as a user types them: train, eval, predict, inspect, export."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from whitebox_transformers_cli.app import app

SMALL = ["model.config.num_hidden_layers=2", "model.config.hidden_size=16", "train.device=cpu"]


def wbt(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A run of three steps."""
    folder = tmp_path_factory.mktemp("cli") / "run"
    result = wbt("train", "image/digits", *SMALL, "--smoke", "--out", folder)
    assert result.exit_code == 0, result.output
    assert "test accuracy" in result.output
    assert f"wbt inspect {folder}" in result.output
    return folder


@pytest.fixture
def image(tmp_path) -> Path:
    path = tmp_path / "digit.png"
    Image.fromarray(np.eye(8, dtype=np.uint8) * 255).save(path)
    return path


def test_a_finished_run_is_not_trained_again(run):
    before = (run / "model.safetensors").read_bytes()
    result = wbt("train", "image/digits", *SMALL, "--smoke", "--out", run)
    assert "nothing was trained" in result.output
    assert (run / "model.safetensors").read_bytes() == before


def test_the_folder_of_another_run_is_refused(run):
    result = wbt("train", "image/digits", *SMALL, "seed=7", "--smoke", "--out", run)
    assert result.exit_code == 2
    assert "seed" in result.stderr


def test_eval(run):
    result = wbt("eval", run)
    assert result.exit_code == 0, result.output
    assert "cross-entropy" in result.stdout
    quantized = wbt("eval", run, "--int8")
    assert quantized.exit_code == 0, quantized.output
    assert "int8" in quantized.stdout


def test_eval_of_a_split_that_does_not_exist(run):
    result = wbt("eval", run, "--split", "everything")
    assert result.exit_code == 2
    assert "validation" in result.stderr


def test_predict(run, image):
    result = wbt("predict", run, image, "--top", 2)
    assert result.exit_code == 0, result.output
    assert "digit.png" in result.stdout
    assert result.stdout.count("%") == 2


def test_predict_names_a_broken_file_and_goes_on(run, image, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(image.read_bytes()[:40])
    result = wbt("predict", run, broken, image)
    assert result.exit_code == 1
    assert "not read" in result.stdout
    assert "%" in result.stdout


def test_inspect_reads_several_images_after_one_option(run, image, tmp_path):
    second = tmp_path / "second.png"
    second.write_bytes(image.read_bytes())
    out = tmp_path / "look"
    result = wbt("inspect", run, "--samples", 8, "--out", out, "--images", image, second)
    assert result.exit_code == 0, result.output
    assert (out / "layers.json").is_file()
    page = (out / "index.html").read_text(encoding="utf-8")
    assert f"page: {out / 'index.html'}" in result.stdout
    assert "digit.png" in page
    assert "second.png" in page


def test_export(run, tmp_path):
    out = tmp_path / "model.onnx"
    result = wbt("export", run, "--format", "onnx", "--out", out)
    assert result.exit_code == 0, result.output
    assert out.is_file()


@pytest.mark.parametrize("command", ["eval", "inspect", "predict", "export"])
def test_a_folder_without_a_run(command, tmp_path, image):
    result = wbt(command, tmp_path / "nothing", *([image] if command == "predict" else []))
    assert result.exit_code == 2
    assert "nothing" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_convert_refuses_what_is_no_checkpoint(tmp_path):
    file, out = tmp_path / "notes.pth", tmp_path / "out"
    file.write_text("these are notes")
    result = wbt("convert", file, out, "--image-size", 32, 48)
    assert result.exit_code == 2
    assert "notes.pth" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not out.exists()
