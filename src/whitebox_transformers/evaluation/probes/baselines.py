"""What features must beat: the pixels themselves, and their principal components.

Shapes: B images, C channels, H x W pixels, D numbers of an image, M training images.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn.functional import adaptive_avg_pool2d

LONGEST = 32
"""Pixels of a side at most; larger images are averaged down to it."""
ROWS_AT_ONCE = 4096


class Pixels(nn.Module):
    """An image as the model is given it, larger ones shrunk, as one row of numbers."""

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Images (B, C, H, W) to (B, D), with sides of at most 32 pixels."""
        height, width = pixel_values.shape[-2:]
        size = (min(height, LONGEST), min(width, LONGEST))
        if size != (height, width):
            pixel_values = adaptive_avg_pool2d(pixel_values, size)
        return pixel_values.flatten(1).float()


class PrincipalComponents:
    """Projection on the directions of largest variance, found in passing over the rows.

    Args:
        rows: (M, D), perhaps mapped from disk.
        count: How many directions; at most D and M are used.
    """

    def __init__(self, rows: np.ndarray, count: int) -> None:
        width = rows.shape[1]
        total, squares = np.zeros(width), np.zeros((width, width))
        # About the first rows' mean, so that little is lost where the mean is large.
        self.mean = rows[:ROWS_AT_ONCE].mean(0, dtype=np.float64)
        for start in range(0, len(rows), ROWS_AT_ONCE):
            piece = (rows[start : start + ROWS_AT_ONCE] - self.mean).astype(np.float32)
            total += piece.sum(0, dtype=np.float64)
            squares += piece.T @ piece
        shift = total / len(rows)
        covariance = squares / len(rows) - np.outer(shift, shift)
        self.mean += shift
        # Ascending in variance, so the last columns are wanted, in reverse.
        vectors = np.linalg.eigh(covariance).eigenvectors
        self.directions = vectors[:, ::-1][:, : min(count, width, len(rows))]

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """Rows (any, D) on the directions, (any, count) float32."""
        return ((rows - self.mean) @ self.directions).astype(np.float32)
