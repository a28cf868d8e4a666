"""Arrays as small images inside the page (data URIs), so that the page is one file."""

from __future__ import annotations

import base64
import io

import numpy as np

from whitebox_transformers.extras import require
from whitebox_transformers.report.palette import COLOR_MAP

PHOTO_FROM = 96


def data_uri(pixels: np.ndarray) -> str:
    """uint8 (H, W, 3) as a data URI: PNG for small grids, JPEG for photographs."""
    image = require("PIL.Image", extra="analysis").fromarray(pixels)
    photo = min(pixels.shape[:2]) >= PHOTO_FROM
    return _encoded(image, "JPEG", quality=82) if photo else _encoded(image, "PNG", optimize=True)


def heatmap_uri(values: np.ndarray, low: float, high: float) -> str:
    """A matrix (H, W) through the colour map as a palette PNG, one byte per entry."""
    pillow = require("PIL.Image", extra="analysis")
    colors = require("matplotlib", extra="analysis").colormaps[COLOR_MAP]
    scaled = np.clip(np.nan_to_num((values - low) / (high - low if high > low else 1.0)), 0.0, 1.0)
    image = pillow.fromarray(np.round(255 * scaled).astype(np.uint8))
    image.putpalette(np.asarray(colors(np.arange(256), bytes=True))[:, :3].tobytes())
    return _encoded(image, "PNG", optimize=True)


def _encoded(image, kind: str, **options) -> str:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    content = base64.b64encode(buffer.getvalue()).decode("ascii")
    return f"data:image/{kind.lower()};base64,{content}"
