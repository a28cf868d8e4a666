"""Images with what was found in them, as PNG figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from whitebox_transformers.extras import require
from whitebox_transformers.report.canvas import MOST_IN_A_ROW, heading, literal, panels_of
from whitebox_transformers.report.palette import COLOR_MAP, SERIES
from whitebox_transformers.segmentation.shapes import nearest_on_image

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from PIL.Image import Image

PANEL = 3.0
VEIL = 0.55
MOST_PIXELS_DRAWN = 640


def draw_objects(
    name: str,
    image: Image,
    masks: Sequence[np.ndarray],
    boxes: Sequence[tuple[int, int, int, int]],
    eigenvector: np.ndarray,
) -> Figure:
    """The image, its objects with their boxes, and the first eigenvector on the patch grid."""
    picture, scale = shrunk(image)
    figure, panels = image_panels(picture, ["image", "masks and boxes", "first eigenvector"])
    colored = picture.astype(np.float64)
    for mask, (color, _) in zip(masks, _colors(len(masks)), strict=True):
        small = nearest_on_image(mask, picture.shape[:2])
        colored[small] = (1 - VEIL) * colored[small] + VEIL * 255 * _rgb(color)
    panels[1].imshow(colored.astype(np.uint8))
    rectangle = require("matplotlib.patches", "analysis").Rectangle
    for number, ((left, top, width, height), (color, _)) in enumerate(
        zip(boxes, _colors(len(boxes)), strict=True), start=1
    ):
        corner = (left * scale - 0.5, top * scale - 0.5)
        sides = (width * scale, height * scale)
        panels[1].add_patch(rectangle(corner, *sides, fill=False, edgecolor=color, linewidth=1.8))
        panels[1].text(
            *corner, f" {number} ", color="white", fontsize=8, va="top",
            bbox={"facecolor": color, "edgecolor": "none", "pad": 1.0},
        )  # fmt: skip
    over_image(panels[2], eigenvector, picture)
    heading(figure, literal(name))
    return figure


def shrunk(image: Image) -> tuple[np.ndarray, float]:
    """Pixels (height, width, 3) uint8 of an image no larger than can be seen, and its scale."""
    scale = min(1.0, MOST_PIXELS_DRAWN / max(image.size))
    size = (max(round(image.width * scale), 1), max(round(image.height * scale), 1))
    small = image.resize(size) if scale < 1 else image
    return np.asarray(small.convert("RGB")), scale


def image_panels(
    picture: np.ndarray,
    titles: Sequence[str],
    side: float = PANEL,
    columns: int = MOST_IN_A_ROW,
) -> tuple[Figure, list[Axes]]:
    """Panels in the shape of an image, of which the first shows it; the others are empty."""
    height, width = picture.shape[:2]
    shape = min(max(height / width, 0.4), 2.5)
    figure, panels = panels_of(
        len(titles), side / max(shape, 1.0), side * min(shape, 1.0) + 0.3, columns
    )
    for panel, title in zip(panels, titles, strict=False):
        panel.set_title(literal(title), fontsize=9)
    panels[0].imshow(picture)
    return figure, panels


def over_image(panel: Axes, values: np.ndarray, picture: np.ndarray, strength: float = 1.0) -> None:
    """Values on the patch grid (rows, columns) over the area of the image."""
    height, width = picture.shape[:2]
    extent = (-0.5, width - 0.5, height - 0.5, -0.5)
    panel.imshow(values, cmap=COLOR_MAP, alpha=strength, extent=extent)


def _colors(count: int) -> list[tuple[str, tuple[float, ...]]]:
    return [SERIES[index % len(SERIES)] for index in range(count)]


def _rgb(color: str) -> np.ndarray:
    return np.array(require("matplotlib.colors", "analysis").to_rgb(color))
