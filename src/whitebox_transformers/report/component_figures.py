"""Images coloured by the leading components of their tokens, as PNG figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from whitebox_transformers.report.canvas import heading, literal
from whitebox_transformers.report.object_figures import image_panels, shrunk
from whitebox_transformers.segmentation.shapes import nearest_on_image

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL.Image import Image

DIMMED = 0.2


def draw_components(
    name: str, image: Image, colors: np.ndarray, foreground: np.ndarray | None
) -> Figure:
    """The image, its foreground if there was such a step, and its patches in colours.

    Args:
        name: Of the image.
        image: In its own size.
        colors: (rows, columns, 3) between 0 and 1; background is black.
        foreground: (rows, columns) bool.
    """
    picture, _ = shrunk(image)
    height, width = picture.shape[:2]
    titles = ["image", "foreground", "components 1 to 3"]
    if foreground is None:
        titles.remove("foreground")
    figure, panels = image_panels(picture, titles)
    if foreground is not None:
        kept = nearest_on_image(foreground, (height, width))[..., None]
        panels[1].imshow(np.where(kept, picture, DIMMED * picture).astype(np.uint8))
        colors = np.where(foreground[..., None], colors, 0.0)
    extent = (-0.5, width - 0.5, height - 0.5, -0.5)
    panels[len(titles) - 1].imshow(colors, extent=extent)
    heading(figure, literal(name))
    return figure
