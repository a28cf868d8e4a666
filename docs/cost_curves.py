"""Directive ``cost-curves``: what ``wbt bench sweeps`` recorded, as curves drawn when built."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

from docutils import nodes
from results_tables import RESULTS
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

if TYPE_CHECKING:
    from matplotlib.figure import Figure

AXES = {
    "tokens": "tokens of an input",
    "width": "width of a token",
    "depth": "layers",
    "batch": "inputs in a batch",
}
SECONDS, FLOAT32 = ", seconds", " float32"


class CostCurves(SphinxDirective):
    """A figure for every pass of every system that has been swept."""

    def run(self) -> list[nodes.Node]:
        """Read the folder each time the page is built."""
        self.env.note_dependency(str(RESULTS))
        found: list[nodes.Node] = []
        for path in sorted(RESULTS.glob("sweeps_*.json")):
            self.env.note_dependency(str(path))
            stored = json.loads(path.read_text(encoding="utf-8"))
            for name in passes(stored["rows"]):
                title = f"{stored['settings']['system']}, {name}, {stored['settings']['device']}"
                drawn = svg(figure(stored["rows"], name, title, styles(stored["rows"])))
                found += [nodes.rubric(text=title), nodes.raw("", drawn, format="html")]
        return found or [nodes.paragraph(text="No sweep has been recorded yet.")]


def passes(rows: list[dict[str, Any]]) -> list[str]:
    """``eager inference`` and the like, in order of appearance."""
    return list(dict.fromkeys(row["mode"].partition(", ")[2] for row in rows))


def styles(rows: list[dict[str, Any]]) -> dict[str, tuple[str, tuple[float, ...]]]:
    """Colour and dashes by contender, the same in every figure: inference alone names the type."""
    from whitebox_transformers.report.palette import SERIES

    found = {contender for name in passes(rows) for _, contender in curves(rows, name)}
    models = sorted({contender.removesuffix(FLOAT32) for contender in found})
    return {one: SERIES[models.index(one.removesuffix(FLOAT32)) % len(SERIES)] for one in found}


def figure(
    rows: list[dict[str, Any]],
    name: str,
    title: str,
    styles: dict[str, tuple[str, tuple[float, ...]]],
) -> Figure:
    """Seconds of a call against each axis, both logarithmic, a line for every contender."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullLocator

    lines = curves(rows, name)
    drawn = Figure(figsize=(9, 6.4), layout="constrained")
    drawn.suptitle(f"{title}: median seconds of a call")
    for panel, (axis, label) in zip(drawn.subplots(2, 2).flat, AXES.items(), strict=True):
        for (where, contender), points in lines.items():
            if where == axis:
                color, dashes = styles[contender]
                style = (0, dashes) if dashes else "-"
                panel.plot(
                    *zip(*points, strict=True), "o", ls=style, c=color, ms=4, label=contender
                )
        places = sorted({at for (where, _), points in lines.items() if where == axis
                         for at, _ in points})  # fmt: skip
        panel.set(xscale="log", yscale="log", xlabel=label, ylabel="seconds")
        panel.set_xticks(places, [f"{at:,}" for at in places])
        panel.xaxis.set_minor_locator(NullLocator())
        panel.grid(alpha=0.25)
    handles, labels = drawn.axes[0].get_legend_handles_labels()
    drawn.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    return drawn


def curves(rows: list[dict[str, Any]], name: str) -> dict[tuple[str, str], list[tuple[int, float]]]:
    """Points (place on the axis, seconds) by axis and contender; without the machine's own rate."""
    found: dict[tuple[str, str], list[tuple[int, float]]] = {}
    for row in rows:
        contender = row["what"].removesuffix(SECONDS)
        timed = row["what"].endswith(SECONDS) and not contender.startswith("matrix product")
        if timed and row["mode"].partition(", ")[2] == name:
            found.setdefault((row["axis"], contender), []).append((row["at"], row["median"]))
    return {key: sorted(points) for key, points in found.items()}


def svg(drawn: Figure) -> str:
    """A figure as an element of a page, no wider than its column."""
    written = io.StringIO()
    drawn.savefig(written, format="svg")
    _, tag, element = written.getvalue().partition("<svg")
    return f'{tag} style="max-width: 100%; height: auto"{element}'


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("cost-curves", CostCurves)
    return {"parallel_read_safe": True}
