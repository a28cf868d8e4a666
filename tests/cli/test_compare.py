"""`wbt compare` prints one table with both arms and the page it wrote."""

from __future__ import annotations

import re
from pathlib import Path

from typer.testing import CliRunner

from whitebox_transformers_cli.app import app


def test_pair_in_one_table(tmp_path):
    result = CliRunner().invoke(
        app, ["compare", "image/digits", "--smoke", f"out={tmp_path / 'pair'}", "train.device=cpu"]
    )
    assert result.exit_code == 0, result.output
    rows = [
        line.split() for line in result.stdout.splitlines() if re.match(r" *(crate|vit) ", line)
    ]
    assert [row[0] for row in rows] == ["crate", "vit"]
    crate, vit = rows
    parameters = [int(row[1].replace(",", "")) for row in rows]
    assert abs(parameters[1] / parameters[0] - 1) <= 0.02
    assert crate[4:] == [crate[4], "->", crate[6], crate[7], "->", crate[9]]
    assert all(cell.endswith("%") for cell in (crate[2], vit[2], crate[7], crate[9]))
    assert vit[4:] == ["-", "-"]
    page = re.search(r"^page: (.+)$", result.stdout, flags=re.MULTILINE)
    assert page
    assert Path(page[1]).read_text(encoding="utf-8").lstrip().lower().startswith("<!doctype html")


def test_recipe_without_black_box():
    result = CliRunner().invoke(app, ["compare", "image/digits", "against=null"])
    assert result.exit_code == 2
    assert "against" in result.stderr


def test_pair_of_masked_autoencoders(tmp_path):
    out = f"out={tmp_path / 'pair'}"
    result = CliRunner().invoke(app, ["compare", "mae/digits", "--smoke", out, "train.device=cpu"])
    assert result.exit_code == 0, result.output
    rows = [line.split() for line in result.stdout.splitlines() if "-mae " in line]
    assert [row[0] for row in rows] == ["crate-mae", "vit-mae"]
    parameters = [int(row[1].replace(",", "")) for row in rows]
    assert abs(parameters[1] / parameters[0] - 1) <= 0.02
    page = re.search(r"^page: (.+)$", result.stdout, flags=re.MULTILINE)
    assert page
    assert 'id="inversion"' in Path(page[1]).read_text(encoding="utf-8")
