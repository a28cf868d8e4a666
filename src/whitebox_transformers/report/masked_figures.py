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
    figure = figure_of(4.8, 0.5 + 1.7 * len(reconstructions))
    rows = figure.subplots(len(reconstructions), 3, squeeze=False)
    for row, found in zip(rows, reconstructions, strict=True):
        titled = (
            (found.masked, literal(found.name)),
            (found.filled, f"filled in, error {number(found.error)}"),
            (found.target, "image"),
        )
        for panel, (picture, title) in zip(row, titled, strict=True):
            panel.imshow(picture)
            panel.set_axis_off()
            panel.set_title(title, fontsize=8)
    return figure


__all__ = ["draw_attention", "draw_predictions"]
