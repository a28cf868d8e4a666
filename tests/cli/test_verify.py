"""``wbt verify`` as a user types it."""

from __future__ import annotations

import json

from typer.testing import CliRunner

from whitebox_transformers_cli.app import app


def wbt(*arguments: str):
    return CliRunner().invoke(app, arguments)


def test_table_json_and_figures(tmp_path):
    numbers, figures = tmp_path / "new" / "numbers.json", tmp_path / "figures"
    result = wbt(
        "verify", "--only", "1,6", "--only", "small_noise_denoiser",
        "--json", str(numbers), "--figures", str(figures),
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "holds only if gamma lambda_max(G_k) < 1" in result.stdout
    assert "arXiv 2306.01129" in result.stdout
    stored = json.loads(numbers.read_text())
    assert [one["number"] for one in stored["statements"]] == [1, 6, 18]
    assert stored["versions"]["torch"]
    assert all(one["cases"] for one in stored["statements"])
    names = {path.name for path in figures.iterdir()}
    assert names == {"neumann_series_converges.png", "small_noise_denoiser.png"}


def test_unknown_statement_is_one_line():
    result = wbt("verify", "--only", "sylvester")
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1
    assert "'sylvester' is no statement" in result.stderr
