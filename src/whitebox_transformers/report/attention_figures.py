"""Attention of the class token over an image, head by head, as PNG figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from whitebox_transformers.report.canvas import even_columns, heading, literal
from whitebox_transformers.report.object_figures import image_panels, over_image, shrunk
from whitebox_transformers.segmentation.attention_masks import mass_mask
from whitebox_transformers.segmentation.shapes import nearest_on_image

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL.Image import Image

SIDE = 2.2
HEAT = 0.65
DIMMED = 0.2


def draw_heads(
    title: str, image: Image, maps: Mapping[int, np.ndarray], mass: float | None = None
) -> Figure:
    """The image, then a head a panel: its weights laid over the image in grey.

    Args:
        title: Of the figure.
        image: In its own size.
        maps: By head, as people count them, weights (rows, columns).
        mass: Draw also the image where the mask by mass keeps it, dimmed elsewhere.
    """
    picture, _ = shrunk(image)
    titles = ["image", *(f"head {head}" for head in maps)]
    columns = even_columns(len(titles))
    if mass is not None:
        # Beneath the maps if those fill one row.
        gap = [""] if len(titles) == columns else []
        titles += gap + [f"head {head}: {mass:.0%} of it" for head in maps]
    figure, panels = image_panels(picture, titles, SIDE, columns)
    grey = np.repeat(picture.mean(-1, keepdims=True).astype(np.uint8), 3, -1)
    for panel, weights in zip(panels[1:], maps.values(), strict=False):
        panel.imshow(grey)
        over_image(panel, weights, picture, HEAT)
    if mass is not None:
        for panel, weights in zip(panels[len(titles) - len(maps) :], maps.values(), strict=False):
            kept = nearest_on_image(mass_mask(weights, mass), picture.shape[:2])[..., None]
            panel.imshow(np.where(kept, picture, DIMMED * picture).astype(np.uint8))
    heading(figure, literal(title))
    return figure
