"""What the statements of ``theory/`` measured, as a JSON file and as pictures."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from whitebox_transformers.extras import require
from whitebox_transformers.report.canvas import chart_frame, legend_beneath, save, styled
from whitebox_transformers.report.palette import SERIES
from whitebox_transformers.theory import Result
from whitebox_transformers.theory.chart import Chart
from whitebox_transformers.training.files import write_text
from whitebox_transformers.training.provenance import provenance

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LEGEND_COLUMNS = 2
MOST_MARKERS = 12
MOST_TICKS = 8


def write_results(results: Sequence[Result], path: Path) -> None:
    """Write results with their provenance, whole; one line a statement, so that changes read well.

    The object's ``statements`` are those of `Result.to_json`.
    """
    head = json.dumps(provenance(), indent=1).removesuffix("\n}")
    lines = ",\n".join(json.dumps(result.to_json()) for result in results)
    write_text(path, f'{head},\n "statements": [\n{lines}\n]}}\n')


def write_charts(results: Sequence[Result], folder: Path) -> list[Path]:
    """Write the chart of every result that has one, named by its statement.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    with styled():
        return [
            save(draw(result.chart), folder / f"{result.name}.png")
            for result in results
            if result.chart is not None
        ]


def draw(chart: Chart) -> Figure:
    """Lines told apart by colour and dashes; levels they are compared with in thin grey."""
    entries = len(chart.lines) + len(chart.levels)
    rows = math.ceil(entries / LEGEND_COLUMNS)
    figure, axes = chart_frame(chart.title, chart.x_label, chart.y_label, rows)
    for line, (color, dashes) in zip(chart.lines, SERIES, strict=False):
        (drawn,) = axes.plot(line.x, line.y, color=color, label=line.name, linewidth=1.8)
        if dashes:
            drawn.set_dashes(dashes)
        if len(line.x) <= MOST_MARKERS:
            drawn.set(marker="o", markersize=4)
    for level, style in zip(chart.levels, (":", "-."), strict=False):
        axes.axhline(level.y, color="#565d69", linestyle=style, linewidth=1.0, label=level.name)
    positions = sorted({x for line in chart.lines for x in line.x})
    if chart.log_x:
        axes.set_xscale("log")
        if len(positions) <= MOST_TICKS:
            axes.set_xticks(positions, [f"{x:g}" for x in positions])
            axes.xaxis.minorticks_off()
    elif all(isinstance(x, int) for x in positions):
        ticks = require("matplotlib.ticker", "analysis").MaxNLocator(integer=True)
        axes.xaxis.set_major_locator(ticks)
    if chart.log_y:
        axes.set_yscale("log")
    legend_beneath(figure, LEGEND_COLUMNS)
    return figure
