"""Masks as pixels of an image, as boxes, and as COCO's run lengths.

Legend: H height, W width of an image in pixels.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from whitebox_transformers.extras import require


def mask_on_image(mask: np.ndarray, read: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    """A mask of patches as pixels of the image, as CutLER does it.

    Args:
        mask: (rows, columns) bool.
        read: Height and width at which the model read the image; up to there by nearest patch.
        size: H and W of the image; from there on bicubic, cut at half of the largest value.

    Returns:
        (H, W) bool.
    """
    pillow = require("PIL.Image", extra="analysis")
    nearest, bicubic = pillow.Resampling.NEAREST, pillow.Resampling.BICUBIC
    image = pillow.fromarray(mask.astype(np.uint8) * np.uint8(255))
    image = image.resize(read[::-1], nearest).resize(size[::-1], bicubic)
    pixels = np.asarray(image)
    return pixels > pixels.max() / 2


def box_of(mask: np.ndarray) -> tuple[int, int, int, int] | None:
    """The tight box around a mask (H, W): left, top, width, height in pixels, as COCO has it.

    ``None`` if the mask is empty.
    """
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not rows.size:
        return None
    left, top = int(columns[0]), int(rows[0])
    return left, top, int(columns[-1]) - left + 1, int(rows[-1]) - top + 1


def rle_of(mask: np.ndarray) -> dict[str, Any]:
    """A mask (H, W) as COCO's uncompressed run lengths: column by column, background first."""
    flat = np.asarray(mask, dtype=bool).ravel(order="F")
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    runs = np.diff(np.concatenate(([0], changes, [flat.size])))
    counts = [0, *runs.tolist()] if flat.size and flat[0] else runs.tolist()
    return {"size": list(mask.shape), "counts": counts}


def mask_of_rle(rle: dict[str, Any]) -> np.ndarray:
    """The mask (H, W) of uncompressed run lengths."""
    counts = rle["counts"]
    flat = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    return flat.reshape(rle["size"], order="F")


def map_on_image(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Values of patches (rows, columns) as pixels (H, W) float32, bilinear."""
    pillow = require("PIL.Image", extra="analysis")
    image = pillow.fromarray(np.ascontiguousarray(values, dtype=np.float32))
    return np.asarray(image.resize(size[::-1], pillow.Resampling.BILINEAR))


def nearest_on_image(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Values (rows, columns) as pixels (H, W), each that of the patch it lies in."""
    rows = ((np.arange(size[0]) + 0.5) * values.shape[0] / size[0]).astype(int)
    columns = ((np.arange(size[1]) + 0.5) * values.shape[1] / size[1]).astype(int)
    return values[np.ix_(rows, columns)]
