from dataclasses import replace

import numpy as np
import pytest

from whitebox_transformers.report.content import Chart, Curve, Report, Section
from whitebox_transformers.report.figures import write_figures
from whitebox_transformers.report.palette import DARK, LIGHT, on_white

Image = pytest.importorskip("PIL.Image")
pytest.importorskip("matplotlib")


def test_every_part_of_a_report_becomes_one_png(make_report, tmp_path):
    report = make_report(2, 2, (2, 3))
    report = replace(report, attention=report.attention[:1])
    charts = [chart.key for section in report.sections for chart in section.charts]
    grids = [grid.key for section in report.sections for grid in section.heatmaps]
    images = [f"attention-{index}" for index in range(1, len(report.attention) + 1)]
    paths = write_figures(report, tmp_path)
    assert {path.stem for path in paths} == {*charts, *grids, *images, "predictions-1"}
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in paths}
    for path in paths:
        with Image.open(path) as picture:
            assert picture.format == "PNG"
            assert np.asarray(picture.convert("L")).std() > 1


def test_a_name_with_dollar_signs_is_not_a_formula(make_report, tmp_path):
    curve = Curve("cost $_", "train", [1.0], [2.0], [0.1])
    chart = Chart("cost", "Cost", "dollars", "layer", [curve])
    report = Report("run", "words", sections=[Section("s", "S", "words", [chart])])
    assert write_figures(report, tmp_path) == [tmp_path / "cost.png"]


def test_the_control_is_grey_and_steps_run_along_one_ramp():
    for color in (LIGHT["control"], DARK["control"]):
        channels = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
        assert max(channels) - min(channels) < 25
    step = Curve("step", "step", [1.0], [1.0], shade=1.0)
    assert on_white(step) == LIGHT["step-last"]
    assert on_white(Curve("step", "step", [1.0], [1.0], shade=0.0)) == LIGHT["step-first"]
