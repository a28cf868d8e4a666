"""One picture of how faithful a model's layers are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from whitebox_transformers.extras import require
from whitebox_transformers.report.canvas import figure_of, heading, literal
from whitebox_transformers.report.faithful_study import FaithfulStudy
from whitebox_transformers.report.faithful_words import along_depth
from whitebox_transformers.report.palette import LIGHT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class _Panel:
    key: str
    title: str
    derived: str
    """What the derivation says, in words."""
    target: float | None = None
    """The value it says, or the border of what it allows."""


PANELS = (
    _Panel("compress-rate-published", r"Compress: change of $R^c$ published ", "below 0", 0.0),
    _Panel("compress-rate-definition", r"Compress: change of $R^c$ defined ", "below 0", 0.0),
    _Panel("compress-descent-published", r"cos(step, $-\nabla R^c$ published)", "1", 1.0),
    _Panel("compress-descent-definition", r"cos(step, $-\nabla R^c$ defined)", "1", 1.0),
    _Panel("compress-tied", "cos(MSSA, tied MSSA)", "1", 1.0),
    _Panel("own_subspaces", r"share of $W_k$ in span $U_k$", "1", 1.0),
    _Panel("u_identity_distance_scaled", r"$|sU_k^\top U_k - I|$", "0", 0.0),
    _Panel("d_identity_distance_scaled", r"$|sD^\top D - I|$", "0", 0.0),
    _Panel("sparsify-expansion-unit", r"Sparsify: change of $R$ of unit tokens", "about 0", 0.0),
    _Panel("sparsify-lasso-change", "Sparsify: relative change of the lasso", "below 0", 0.0),
    _Panel("published", r"$R - R^c - 0.1\,\|Z\|_0$ published", "grows with depth"),
    _Panel("definition", r"$R - R^c - 0.1\,\|Z\|_0$ defined", "grows with depth"),
)
_LINES: dict[str, dict[str, Any]] = {
    "untrained": {"color": LIGHT["control"], "label": "untrained weights"},
    "gaussian": {
        "color": LIGHT["validation"],
        "label": "trained weights, Gaussian tokens",
        "linestyle": (0, (5, 3)),
        "markerfacecolor": "white",
    },
    "trained": {"color": LIGHT["train"], "label": "trained weights, data"},
}
COLUMNS = 4


def draw_study(study: FaithfulStudy, name: str) -> Figure:
    """Every panel is one quantity by layer; a dotted line is what the derivation says."""
    values = {which: dict(study.values(which)) for which in study.steps}
    # Gaussian tokens are new in every layer: nothing goes along depth.
    for which in ("trained", "untrained"):
        for convention in ("published", "definition"):
            values[which][convention] = along_depth(values[which], convention)
    panels = [panel for panel in PANELS if panel.key in values["trained"]]
    rows = -(-len(panels) // COLUMNS)
    figure = figure_of(12.0, 2.5 * rows + 0.9)
    axes = list(figure.subplots(rows, COLUMNS, squeeze=False).flat)
    for place, panel in zip(axes, panels, strict=False):
        _draw(place, panel, values)
    for unused in axes[len(panels) :]:
        unused.set_axis_off()
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles[::-1], labels[::-1], loc="outside lower left", ncols=3, fontsize="small")
    heading(figure, f"Do the layers do what the derivation says? {literal(name)}")
    return figure


def _draw(axes: Axes, panel: _Panel, values: dict[str, dict[str, list[float]]]) -> None:
    for which, style in _LINES.items():
        curve = values[which].get(panel.key)
        if curve is not None:
            positions = range(1, len(curve) + 1)
            axes.plot(positions, curve, marker="o", markersize=3.5, linewidth=1.6, **style)
    if panel.target is not None:
        axes.axhline(panel.target, color="#16191f", linestyle=":", linewidth=1.1)
    axes.set_title(panel.title, loc="left", fontsize=9, fontweight="bold", pad=18)
    axes.text(0, 1.03, f"derived: {panel.derived}", transform=axes.transAxes, fontsize=8)
    axes.tick_params(labelsize=8)
    axes.xaxis.set_major_locator(require("matplotlib.ticker", "analysis").MaxNLocator(integer=True))
    depth = panel.key in ("published", "definition")
    axes.set_xlabel("layer entered (last: output)" if depth else "layer", fontsize=8)
