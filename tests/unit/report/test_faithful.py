"""`faithful` on a real, very short run; its words count what the numbers say."""

from __future__ import annotations

import json

import pytest
from tests.unit.report.short_run import CRATE, VIT, short_run
from typer.testing import CliRunner

from whitebox_transformers.analysis.layer_report import LayerCurve, LayerReport
from whitebox_transformers.errors import UserError
from whitebox_transformers.report.faithful import faithful
from whitebox_transformers.report.faithful_study import FaithfulStudy
from whitebox_transformers.report.faithful_words import along_depth, findings, tables
from whitebox_transformers_cli.app import app

Image = pytest.importorskip("PIL.Image")
pytest.importorskip("matplotlib")
pytest.importorskip("sklearn")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return short_run(tmp_path_factory.mktemp("runs") / "crate", CRATE).folder


def test_the_command_prints_tables_and_writes_numbers_and_picture(run, tmp_path) -> None:
    done = CliRunner().invoke(app, ["faithful", str(run), "--samples", "9", "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    for said in ("Compress, Z^l", "Sparsify", "Matrices", "Objective", "layer 2", "derived"):
        assert said in done.output
    numbers = json.loads((tmp_path / "faithful.json").read_text())
    assert numbers["samples"] == 9
    assert numbers["versions"]["torch"]
    assert set(numbers["steps"]) == {"trained", "untrained", "gaussian"}
    curve = numbers["steps"]["gaussian"]["curves"]["compress-descent-published"]
    assert "cosine" in curve["definition"]
    assert len(curve["mean"]) == 2
    assert len(numbers["matrices"]["trained"]["own_subspaces"]) == 2
    with Image.open(tmp_path / "faithful.png") as picture:
        assert min(picture.size) > 500
    assert {path.name for path in tmp_path.iterdir()} == {"faithful.json", "faithful.png"}


def test_the_untrained_control_is_the_run_before_its_first_step(run, tmp_path) -> None:
    steps = faithful(run, 9, out=tmp_path).study.steps
    key = "compress-rate-published"
    assert steps["trained"].curves[key] != steps["untrained"].curves[key]
    again = faithful(run, 9, out=tmp_path).study.steps
    assert again == steps


def test_wrong_questions_end_before_any_work(run, tmp_path) -> None:
    with pytest.raises(UserError, match="split 'dev' is not one of this run's; choose .*train"):
        faithful(run, split="dev", out=tmp_path / "none")
    vit = short_run(tmp_path / "vit", VIT).folder
    with pytest.raises(UserError, match="ViTForImageClassification has no CRATE layers"):
        faithful(vit, out=tmp_path / "none")
    assert not (tmp_path / "none").exists()


def study_of(**curves: dict[str, list[float]]) -> FaithfulStudy:
    """Invented means by which and measure."""
    steps = {
        which: LayerReport(3, {key: LayerCurve(mean, mean) for key, mean in found.items()})
        for which, found in curves.items()
    }
    return FaithfulStudy(steps, {})


def invented(sign: float) -> dict[str, list[float]]:
    found = {}
    for convention in ("published", "definition"):
        found[f"compress-rate-{convention}"] = [sign, -1.0, -2.0]
        found[f"compress-descent-{convention}"] = [0.5, 0.25, 0.0]
        found[f"objective-{convention}-z"] = [1.0, 2.0, 1.5]
        found[f"objective-{convention}-z-next"] = [0.0, 0.0, 4.0]
    found["compress-tied"] = [1.0, 1.0, sign]
    found["sparsify-lasso-start"] = [2.0, 2.0, 2.0]
    found["sparsify-lasso-end"] = [1.0, 3.0, 1.0]
    return found


def test_sentences_count_layers_and_name_both_controls() -> None:
    study = study_of(trained=invented(1), untrained=invented(-1), gaussian=invented(0))
    said = findings(study)
    assert said[0] == (
        "Compress lowers R^c (published) in 2 of 3 layers; untrained in 3 of 3, "
        "on Gaussian tokens in 2 of 3."
    )
    assert "mean over layers: 0.250; untrained 0.250" in said[2]
    assert "mean: 1.00; untrained 0.333" in said[4]
    assert said[5].startswith("Sparsify lowers its lasso in 2 of 3 layers")
    assert "trained in 2 of 3 layers, from 1.00 to 4.00" in said[6]
    assert along_depth(study.values("trained"), "published") == [1.0, 2.0, 1.5, 4.0]


def test_a_table_holds_what_was_measured_and_nothing_else() -> None:
    study = study_of(trained=invented(1), untrained=invented(-1), gaussian=invented(0))
    compress, sparsify, objective = tables(study)
    assert compress.header[1:3] == ["change", "change"]
    assert compress.rows[0][:2] == ["layer 1", "1.00"]
    assert [row[0] for row in compress.rows[3:]] == ["untrained, mean", "Gaussian, mean", "derived"]
    assert compress.rows[-1][1:] == ["< 0", "< 0", "1", "1", "1"]
    assert [row[-1] for row in sparsify.rows[:3]] == ["−0.500", "0.500", "−0.500"]
    assert objective.rows[-1][1] == "grows"
