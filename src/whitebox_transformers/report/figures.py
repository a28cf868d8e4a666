"""The figures as PNG files, drawn with matplotlib from the same objects as the page."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from whitebox_transformers.extras import require
from whitebox_transformers.report.canvas import (
    chart_frame,
    figure_of,
    legend_beneath,
    save,
    styled,
)
from whitebox_transformers.report.content import (
    AttentionOfImage,
    Chart,
    Curve,
    HeatmapGrid,
    Prediction,
    Report,
)
from whitebox_transformers.report.palette import COLOR_MAP, DASHES, LIGHT, on_white

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEGEND_COLUMNS = 3
MOST_IN_A_ROW = 6
ROWS_OF_PREDICTIONS = 12
MOST_MARKERS = 30
# How a spread is drawn; see the palette.
_FILLED: dict[str, Any] = {"alpha": 0.16, "linewidth": 0}
_OUTLINED: dict[str, Any] = {"facecolor": "none", "linewidth": 0.9, "linestyle": ":"}


def write_figures(report: Report, folder: Path) -> list[Path]:
    """Write every picture of a report as a PNG and return the paths.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    with styled():
        figures = tqdm(_figures(report), desc="figures", unit="figure", leave=False)
        return [save(figure, folder / f"{name}.png") for name, figure in figures]


def _figures(report: Report) -> Iterator[tuple[str, Figure]]:
    """Name and picture, one at a time."""
    for section in report.sections:
        for chart in section.charts:
            yield chart.key, _draw_chart(chart)
        for grid in section.heatmaps:
            yield grid.key, _draw_heatmaps(grid)
    for index, image in enumerate(report.attention, start=1):
        yield f"attention-{index}", _draw_attention(image)
    for start in range(0, len(report.predictions), ROWS_OF_PREDICTIONS):
        shown = report.predictions[start : start + ROWS_OF_PREDICTIONS]
        yield f"predictions-{start // ROWS_OF_PREDICTIONS + 1}", _draw_predictions(shown)


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
    figure, panels = _panels(len(grid.items), 1.9, 2.1)
    shown = None
    for panel, item in zip(panels, grid.items, strict=False):
        shown = panel.imshow(
            item.values, cmap=COLOR_MAP, vmin=grid.low, vmax=grid.high, interpolation="nearest"
        )
        panel.set_title(item.title, fontsize=9)
        _outline_blocks(panel, len(item.values), item.blocks)
    _heading(figure, grid.title)
    if shown is not None:
        figure.colorbar(shown, ax=figure.axes, label=grid.scale_label, shrink=0.8)
    return figure


def _draw_attention(image: AttentionOfImage) -> Figure:
    """The image, then one map per head over the same area; control heads follow in grey."""
    control = image.control if image.control is not None else []
    maps = image.maps[image.layer]
    figure, panels = _panels(1 + len(maps) + len(control), 1.6, 1.85)
    height, width = image.picture.shape[:2]
    panels[0].imshow(image.picture, extent=(0, width, height, 0))
    panels[0].set_title("image", fontsize=9)
    titled = [(f"head {head}", weights, COLOR_MAP) for head, weights in enumerate(maps, start=1)]
    titled += [(f"control {head}", grey, "gray") for head, grey in enumerate(control, start=1)]
    for panel, (title, weights, colors) in zip(panels[1:], titled, strict=False):
        panel.imshow(weights, cmap=colors, vmin=0, extent=(0, width, height, 0))
        panel.set_title(title, fontsize=9)
    name = _literal(image.name)
    _heading(figure, f"Attention of the class token, layer {image.layer}: {name}")
    return figure


def _draw_predictions(predictions: list[Prediction]) -> Figure:
    """One row per image: the image, and bars of its most probable classes."""
    figure = figure_of(6.4, 0.5 + 1.5 * len(predictions))
    rows = figure.subplots(len(predictions), 2, squeeze=False, width_ratios=(1, 3))
    for (picture, bars), prediction in zip(rows, predictions, strict=True):
        picture.imshow(prediction.picture)
        picture.set_axis_off()
        labels, shares = zip(*reversed(prediction.ranking), strict=True)
        places = range(len(labels))
        bars.barh(places, [100 * share for share in shares], color=LIGHT["train"])
        bars.set_yticks(places, [_literal(label) for label in labels], fontsize=8)
        bars.set_xlim(0, 100)
        bars.grid(visible=False)
        truth = "" if prediction.truth is None else f" (labelled {_literal(prediction.truth)})"
        bars.set_title(_literal(prediction.name) + truth, loc="left", fontsize=9)
    rows[-1][1].set_xlabel("probability (%)")
    return figure


def _draw_curve(axes: Axes, curve: Curve) -> None:
    color, dashes = on_white(curve), DASHES.get(curve.role)
    (line,) = axes.plot(curve.x, curve.mean, color=color, label=_literal(curve.name), linewidth=1.8)
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


def _panels(count: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    """A grid of panels without axes, at most six in a row."""
    columns = min(count, MOST_IN_A_ROW)
    rows = math.ceil(count / columns)
    figure = figure_of(max(width * columns + 0.8, 4.0), height * rows + 0.6)
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for panel in panels:
        panel.set_axis_off()
    return figure, panels


def _heading(figure: Figure, text: str) -> None:
    figure.suptitle(text, x=0.01, ha="left", fontsize=11, fontweight="bold")


def _literal(text: str) -> str:
    """Names given by users, with dollar signs that do not start a formula."""
    return text.replace("$", r"\$")
