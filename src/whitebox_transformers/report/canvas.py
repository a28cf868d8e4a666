"""What every PNG figure shares: style, frame, legend, and how it is written."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from whitebox_transformers.extras import require
from whitebox_transformers.training.files import write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DOTS_PER_INCH = 140
MOST_IN_A_ROW = 6
_STYLE = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": "#e2e5ea",
    "axes.edgecolor": "#565d69",
    "axes.axisbelow": True,
    "legend.frameon": False,
}


def even_columns(count: int) -> int:
    """Columns for ``count`` panels in the fewest rows, filled as evenly as they can be."""
    rows = math.ceil(count / MOST_IN_A_ROW)
    return math.ceil(count / rows)


def styled() -> AbstractContextManager[None]:
    """Within it, figures are drawn in the project's style.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    return require("matplotlib", extra="analysis").rc_context(_STYLE)


def figure_of(width: float, height: float, layout: str | None = "constrained") -> Figure:
    """An empty figure of a size in inches."""
    figure = require("matplotlib.figure", extra="analysis").Figure
    return figure(figsize=(width, height), layout=layout)


def chart_frame(title: str, x_label: str, y_label: str, legend_rows: int) -> tuple[Figure, Axes]:
    """A figure with one labelled chart, and room beneath it for a legend of so many rows."""
    height = 3.7 + 0.2 * legend_rows
    # Fixed margins: letting matplotlib search for them would draw every figure twice.
    figure = figure_of(6.2, height, layout=None)
    axes = figure.add_axes((0.14, 1 - 3.1 / height, 0.83, 2.75 / height))
    axes.set(xlabel=x_label, ylabel=y_label)
    axes.set_title(title, loc="left", fontsize=11, fontweight="bold")
    return figure, axes


def legend_beneath(figure: Figure, columns: int, title: str | None = None) -> None:
    """A legend below the chart, where it hides nothing."""
    figure.legend(
        loc="lower left",
        ncols=columns,
        title=title,
        title_fontsize="small",
        fontsize="small",
        alignment="left",
    )


def panels_of(
    count: int, width: float, height: float, columns: int = MOST_IN_A_ROW
) -> tuple[Figure, list[Axes]]:
    """A grid of panels without axes, at most ``columns`` in a row."""
    columns = min(count, columns)
    rows = math.ceil(count / columns)
    figure = figure_of(max(width * columns + 0.8, 4.0), height * rows + 0.6)
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for panel in panels:
        panel.set_axis_off()
    return figure, panels


def heading(figure: Figure, text: str) -> None:
    """The title of a figure, on its left."""
    figure.suptitle(text, x=0.01, ha="left", fontsize=11, fontweight="bold")


def literal(text: str) -> str:
    """Names given by users, with dollar signs that do not start a formula."""
    return text.replace("$", r"\$")


def save(figure: Figure, path: Path) -> Path:
    """Write a figure whole as a PNG and return its path."""
    write_whole(path, lambda place: figure.savefig(place, format="png", dpi=DOTS_PER_INCH))
    return path
