"""``wbt probe`` as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.unit.data.conftest import write_folder
from typer.testing import CliRunner, Result

from whitebox_transformers_cli.app import app

SMALL = ["model.config.num_hidden_layers=2", "model.config.hidden_size=16", "train.device=cpu"]


def wbt(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("cli") / "run"
    result = wbt("train", "image/digits", *SMALL, "--smoke", "--out", folder)
    assert result.exit_code == 0, result.output
    return folder


def test_a_run_on_its_own_data(run):
    result = wbt("probe", run, "--k", 3, "--k", 5, "--no-linear")
    assert result.exit_code == 0, result.output
    for word in ("trained", "untrained", "pixels", "pca", "k-NN 3", "k-NN 5"):
        assert word in result.stdout
    (file,) = (run / "probes").glob("digits-*.json")
    assert f"scores and protocol: {file}" in result.stdout
    assert set(json.loads(file.read_text())["scores"]) == {"trained", "untrained", "pixels", "pca"}


def test_other_data_and_another_file(run, tmp_path):
    pictures = write_folder(tmp_path / "pictures", {"cat": 20, "dog": 20})
    out = tmp_path / "scores.json"
    result = wbt("probe", run, "data.validation_share=0.25", "--data", pictures, "--k", 5,
                 "--no-baselines", "--split", "validation", "--out", out)  # fmt: skip
    assert result.exit_code == 0, result.output
    record = json.loads(out.read_text())
    assert record["classes"] == ["cat", "dog"]
    assert record["images"] == {"train": 24, "validation": 8, "test": 8}


def test_a_folder_without_a_model(tmp_path):
    result = wbt("probe", tmp_path, "--data", "digits")
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1


def test_a_model_that_is_not_there_is_what_is_said_first(tmp_path):
    for asked in ((), ("--data", "digits")):
        result = wbt("probe", tmp_path / "absent", *asked)
        assert result.exit_code == 2
        assert "no model there; give a finished run" in result.stderr
