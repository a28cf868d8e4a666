"""``wbt bench`` as a user types it: measure, record, check again."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from whitebox_transformers_cli import bench
from whitebox_transformers_cli.app import app

SMALL = (
    "passes=inference,training",
    "width=8",
    "depth=1",
    "heads=1",
    "length=4",
    "batch=1",
    "rounds=1",
    "threads=1",
)


def wbt(*arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def light(monkeypatch):
    """The machine's own products, which take longer than all the rest, made small."""
    bench.checkout()
    from benchmarks import passes

    monkeypatch.setattr(passes, "matrix_product", lambda device, dtype: ((lambda: None), 1))


def test_recorded_rows_are_checked_again(light, tmp_path, monkeypatch):
    result = wbt("bench", "gpt", *SMALL, "--out", tmp_path)
    assert result.exit_code == 0, result.output
    file = tmp_path / "passes_gpt_cpu.json"
    stored = json.loads(file.read_text())
    assert stored["command"].startswith("wbt bench gpt passes=inference")
    assert stored["settings"]["width"] == 8
    assert stored["versions"]["torch"]
    assert stored["hardware"]["processor"] is not None
    found = {row["what"]: row for row in stored["rows"]}
    assert found["crate, seconds"]["FLOPs"] > found["crate float32, seconds"]["FLOPs"] > 0
    assert found["crate folded int8, seconds"]["peak bytes"] > 0
    assert found["gpt2 float32 / crate folded float32"]["better"] == "higher"
    kept = found["bytes kept, crate / transcription"]
    from benchmarks import suite

    # Bytes do not depend on the clock: the same now, and worse than a better record.
    again = {one.what: one for one in suite.check("gpt", (), tmp_path)}
    assert again["bytes kept, crate / transcription"].change == pytest.approx(0, abs=1e-3)
    kept["median"] /= 2
    stored["rows"] = [kept]
    file.write_text(json.dumps(stored))
    monkeypatch.setattr(suite.check, "__defaults__", (tmp_path,))
    result = wbt("bench", "gpt", "--check")
    assert result.exit_code == 1, result.output
    assert "1 of 1 ratios worse" in result.stdout
    assert wbt("bench", "gpt", "--check", "--tolerance", "2").exit_code == 0
    assert wbt("bench", "bert", "--check").exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing"], "'nothing' is not known; choose from image"),
        (["gpt", "widthh=3"], "did you mean 'width'"),
        (["gpt", "batch=many"], "batch=many: expected int"),
        (["gpt", "dtypes=float64"], "choose from float32"),
        (["gpt", "device=cuda:77"], "device=cuda:77 is not there"),
        (["gpt", "width=9", "heads=2"], "width=9 is no multiple of heads=2"),
    ],
)
def test_wrong_input_is_one_line(arguments, said):
    result = wbt("bench", *arguments)
    assert result.exit_code == 2
    assert said in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_outside_of_a_checkout_it_says_what_is_needed(tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "__file__", str(tmp_path / "a" / "b" / "c.py"))
    monkeypatch.chdir(tmp_path)
    result = wbt("bench")
    assert result.exit_code == 2
    assert "needs a checkout" in result.stderr
