"""The figures as PNG files, drawn with matplotlib from the same objects as the page."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from whitebox_transformers.extras import require
from whitebox_transformers.report import image_figures, masked_figures, text_figures
from whitebox_transformers.report.canvas import (
    chart_frame,
    heading,
    legend_beneath,
    literal,
    panels_of,
    save,
    styled,
)
from whitebox_transformers.report.content import (
    Chart,
    Curve,
    HeatmapGrid,
    Report,
)
from whitebox_transformers.report.palette import COLOR_MAP, DASHES, on_white

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEGEND_COLUMNS = 3
ROWS_OF_PREDICTIONS = 12
MOST_MARKERS = 30
# What draws the examples of a report.
_EXAMPLES: dict[str, Any] = {
    "images": image_figures,
    "masked images": masked_figures,
    "texts": text_figures,
}
# How a spread is drawn; see the palette.
_FILLED: dict[str, Any] = {"alpha": 0.16, "linewidth": 0}
_OUTLINED: dict[str, Any] = {"facecolor": "none", "linewidth": 0.9, "linestyle": ":"}


def write_figures(report: Report, folder: Path) -> list[Path]:
    """Write every picture of a report as a PNG and return the paths.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    with styled(), warnings.catch_warnings():
        # Texts of the world have more characters than any one font.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figures = tqdm(_figures(report), desc="figures", unit="figure", leave=False)
        return [save(figure, folder / f"{name}.png") for name, figure in figures]


def _figures(report: Report) -> Iterator[tuple[str, Figure]]:
    """Name and picture, one at a time."""
    for section in report.sections:
        for chart in section.charts:
            yield chart.key, _draw_chart(chart)
        for grid in section.heatmaps:
            yield grid.key, _draw_heatmaps(grid)
    draw = _EXAMPLES[report.shown]
    for index, example in enumerate(report.attention, start=1):
        yield f"attention-{index}", draw.draw_attention(example)
    for start in range(0, len(report.predictions), ROWS_OF_PREDICTIONS):
        shown = report.predictions[start : start + ROWS_OF_PREDICTIONS]
        yield f"predictions-{start // ROWS_OF_PREDICTIONS + 1}", draw.draw_predictions(shown)


def _draw_chart(chart: Chart) -> Figure:
    """Curves with spread bands; the legend stands beneath the axes and hides nothing."""
    spread = any(curve.std is not None for curve in chart.curves)
    legend_rows = spread + math.ceil(len(chart.curves) / LEGEND_COLUMNS)
    figure, axes = chart_frame(chart.title, chart.x_label, chart.y_label, legend_rows)
    for curve in chart.curves:
        _draw_curve(axes, curve)
    axes.xaxis.set_major_locator(require("matplotlib.ticker", "analysis").MaxNLocator(integer=True))
    legend_beneath(
        figure,
        min(len(chart.curves), LEGEND_COLUMNS),
        "band: ± 1 standard deviation over samples" if spread else None,
    )
    return figure


def _draw_heatmaps(grid: HeatmapGrid) -> Figure:
    """Matrices on one colour scale, blocks outlined."""
    figure, panels = panels_of(len(grid.items), 1.9, 2.1)
    shown = None
    for panel, item in zip(panels, grid.items, strict=False):
        shown = panel.imshow(
            item.values, cmap=COLOR_MAP, vmin=grid.low, vmax=grid.high, interpolation="nearest"
        )
        panel.set_title(item.title, fontsize=9)
        _outline_blocks(panel, len(item.values), item.blocks)
    heading(figure, grid.title)
    if shown is not None:
        figure.colorbar(shown, ax=figure.axes, label=grid.scale_label, shrink=0.8)
    return figure


def _draw_curve(axes: Axes, curve: Curve) -> None:
    color, dashes = on_white(curve), DASHES.get(curve.role)
    (line,) = axes.plot(curve.x, curve.mean, color=color, label=literal(curve.name), linewidth=1.8)
    if dashes:
        line.set_dashes(dashes)
    if len(curve.x) <= MOST_MARKERS:
        line.set(marker="o", markersize=4, markerfacecolor="white" if dashes else color)
    if curve.std is not None:
        mean, std = np.asarray(curve.mean), np.asarray(curve.std)
        style: dict[str, Any] = {"facecolor": color} | _FILLED
        if dashes:
            style = {"edgecolor": color} | _OUTLINED
        axes.fill_between(curve.x, mean - std, mean + std, **style)


def _outline_blocks(panel: Axes, size: int, blocks: int) -> None:
    rectangle = require("matplotlib.patches", "analysis").Rectangle
    side = size / blocks
    for block in range(blocks if blocks > 1 else 0):
        corner = (block * side - 0.5, block * side - 0.5)
        panel.add_patch(rectangle(corner, side, side, fill=False, edgecolor="white", linewidth=0.6))
