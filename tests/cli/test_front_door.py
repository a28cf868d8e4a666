"""What a user meets first: help, version, usage errors, one-line errors."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import version

import pytest
from typer.testing import CliRunner

from whitebox_transformers.errors import UserError
from whitebox_transformers.extras import MissingExtra
from whitebox_transformers_cli import train as train_module
from whitebox_transformers_cli.app import app

COMMANDS = {
    "train": {"--out", "--smoke"},
    "compare": {"--smoke"},
    "eval": {
        "--split",
        "--data",
        "--context",
        "--stride",
        "--lambada",
        "--column",
        "--separator",
        "--join",
        "--int8",
        "--out",
    },
    "inspect": {"--images", "--samples", "--text", "--out"},
    "predict": {"--top", "--pairs", "--truncate"},
    "generate": {
        "--tokens",
        "--temperature",
        "--top-k",
        "--top-p",
        "--greedy",
        "--seed",
        "--truncate",
    },
    "convert": {
        "--heads",
        "--decoder-heads",
        "--image-size",
        "--step-size",
        "--threshold",
        "--pool",
        "--patch-size",
        "--apply-head",
        "--embedding-norm-eps",
        "--pad-token-id",
        "--norm-pix-loss",
    },
    "probe": {
        "--data",
        "--split",
        "--pooling",
        "--layers",
        "--k",
        "--temperature",
        "--no-linear",
        "--sgd-epochs",
        "--no-baselines",
        "--seed",
        "--cache",
        "--out",
    },
    "faithful": {"--samples", "--split", "--out"},
    "bench": {"--check", "--tolerance", "--out"},
    "export": {"--format", "--int8", "--out"},
    "segment": {
        "--masks",
        "--mask-kind",
        "--coco",
        "--objects",
        "--layer",
        "--facet",
        "--threshold",
        "--similarity",
        "--resolution",
        "--keep-shape",
        "--max-pixels",
        "--longest",
        "--no-pictures",
        "--device",
        "--out",
    },
    "attention": {
        "--layer",
        "--head",
        "--mass",
        "--masks",
        "--mask-kind",
        "--noise",
        "--noise-share",
        "--seed",
        "--resolution",
        "--keep-shape",
        "--max-pixels",
        "--longest",
        "--no-pictures",
        "--device",
        "--out",
    },
    "pca": {
        "--layer",
        "--facet",
        "--all-tokens",
        "--threshold",
        "--invert",
        "--no-refit",
        "--signs",
        "--resolution",
        "--keep-shape",
        "--max-pixels",
        "--longest",
        "--device",
        "--out",
    },
    "verify": {"--only", "--json", "--figures"},
    "list": set(),
    "doctor": set(),
}


def wbt(*arguments: str):
    return CliRunner().invoke(app, arguments)


def test_help_loads_neither_torch_nor_transformers():
    program = (
        "import sys\n"
        "from whitebox_transformers_cli.app import app\n"
        "try:\n    app(['--help'], prog_name='wbt')\n"
        "except SystemExit as end:\n    assert end.code == 0\n"
        "heavy = {'torch', 'transformers', 'numpy', 'whitebox_transformers', 'rich.markdown'}\n"
        "print('LOADED', sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "LOADED []" in done.stdout
    assert all(name in done.stdout for name in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_options_are_frozen(command):
    """An option added or renamed is a decision: recipes, not flags, carry settings."""
    result = wbt(command, "--help")
    assert result.exit_code == 0
    offered = set(re.findall(r"^  (--[a-z0-9-]+)", result.stdout, flags=re.MULTILINE))
    assert offered == COMMANDS[command] | {"--help"}


def test_version():
    assert wbt("--version").stdout.split() == [
        "whitebox-transformers",
        version("whitebox-transformers"),
    ]


def test_no_command_shows_the_help():
    assert "Commands:" in wbt().output


def test_unknown_command_is_a_usage_error():
    assert wbt("trian").exit_code == 2


@pytest.mark.parametrize("error", [UserError("one\nline, please"), MissingExtra("pip install x")])
def test_a_person_s_error_is_one_line_and_status_2(monkeypatch, error):
    def fail(*arguments):
        raise error

    monkeypatch.setattr(train_module, "chosen_recipe", fail)
    result = wbt("train", "any")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr == f"wbt: {' '.join(str(error).split())}\n"


def test_torchvision_of_another_torch_points_to_the_doctor(monkeypatch):
    def fail(*arguments):
        try:
            raise RuntimeError("operator torchvision::nms does not exist")
        except RuntimeError as error:
            raise ModuleNotFoundError("Could not import module 'PreTrainedModel'.") from error

    monkeypatch.setattr(train_module, "chosen_recipe", fail)
    result = wbt("train", "any")
    assert result.exit_code == 2
    assert "torchvision::nms" in result.stderr
    assert "wbt doctor" in result.stderr


def test_a_defect_keeps_its_traceback(monkeypatch):
    def fail(*arguments):
        raise ValueError("a defect of ours")

    monkeypatch.setattr(train_module, "chosen_recipe", fail)
    assert isinstance(wbt("train", "any").exception, ValueError)


def test_interruption_is_no_traceback(monkeypatch):
    def fail(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(train_module, "chosen_recipe", fail)
    result = wbt("train", "any")
    assert result.exit_code == 130
    assert result.stderr == "wbt: interrupted\n"


def test_recipe_that_does_not_exist():
    result = wbt("train", "nonsense")
    assert result.exit_code == 2
    assert "nonsense" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_override_that_does_not_exist_is_refused_before_work():
    result = wbt("train", "image/digits", "train.epohcs=1")
    assert result.exit_code == 2
    assert "train.epohcs" in result.stderr
    assert "'epochs'" in result.stderr


def test_export_knows_one_format():
    result = wbt("export", "anywhere", "--format", "pickle")
    assert result.exit_code == 2
    assert "onnx" in result.stderr


def test_list_shows_the_sizes_of_every_white_box():
    result = wbt("list")
    assert result.exit_code == 0, result.output
    cells = [line.split() for line in result.stdout.splitlines()]
    rows = {row[0]: row[1] for row in cells if len(row) > 1}
    assert rows["crate-base"] == "22,796,008"
    assert rows["crate-mae-base"] == "43,745,280"
    assert rows["crate-gpt-base"] == "60,699,648"
    assert "crate-bert-base" in rows
