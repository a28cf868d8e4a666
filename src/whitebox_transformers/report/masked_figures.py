"""Reconstructions of a masked autoencoder as a PNG figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from whitebox_transformers.report.axes import number
from whitebox_transformers.report.canvas import figure_of, literal
from whitebox_transformers.report.content import Reconstruction
from whitebox_transformers.report.image_figures import draw_attention

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_predictions(reconstructions: Sequence[Reconstruction]) -> Figure:
    """One row per image: what was seen, what was filled in, the image."""
    figure = figure_of(4.8, 0.5 + 1.9 * len(reconstructions))
    rows = figure.subplots(len(reconstructions), 3, squeeze=False)
    for row, found in zip(rows, reconstructions, strict=True):
        titled = (
            (found.masked, "seen"),
            (found.filled, f"filled in, error {number(found.error)}"),
            (found.target, "image"),
        )
        for panel, (picture, title) in zip(row, titled, strict=True):
            panel.imshow(picture)
            panel.set_axis_off()
            panel.set_title(f"\n\n{title}", fontsize=8)
        # In the empty line above the titles, and across all three: names of files are long.
        name = row[0].annotate(
            literal(found.name), (0, 1.16), xycoords="axes fraction", fontsize=9, fontweight="bold"
        )
        name.set_in_layout(False)
    return figure


__all__ = ["draw_attention", "draw_predictions"]
