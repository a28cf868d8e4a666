"""How well masks and maps agree with what people drew.

Legend: H, W height and width of an image in pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isnan

import numpy as np

from whitebox_transformers.segmentation.truth import VOID

LEVELS = 256
BETA_SQUARED = 0.3
"""Weight of precision against recall, as is usual for salient objects."""


def iou(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two masks (H, W) bool; 0 if both are empty."""
    union = np.count_nonzero(a | b)
    return float(np.count_nonzero(a & b) / union) if union else 0.0


def for_json(scores: Mapping[str, float]) -> dict[str, float | None]:
    """Scores with ``None`` for what could not be scored, since JSON has no NaN."""
    return {name: None if isnan(value) else value for name, value in scores.items()}


def classes_of(labels: np.ndarray) -> list[int]:
    """The classes that an image has, without background and what does not count."""
    return [int(c) for c in np.unique(labels) if c > 0]


def best_overlaps(labels: np.ndarray, masks: Sequence[np.ndarray]) -> dict[int, np.ndarray]:
    """IoU of every mask with every class of an image.

    Args:
        labels: (H, W), as `truth.MaskFolder.of` gives.
        masks: Each (H, W) bool.

    Returns:
        By class one value per mask; pixels that do not count are left out.
    """
    counts = labels != VOID
    seen = [mask & counts for mask in masks]
    return {
        c: np.array([iou(labels == c, mask) for mask in seen], dtype=np.float64)
        for c in classes_of(labels)
    }


@dataclass
class Mean:
    """A running mean."""

    count: int = 0
    total: float = 0.0

    def add(self, value: float) -> None:
        """Take up a value."""
        self.count += 1
        self.total += value

    @property
    def value(self) -> float:
        """The mean so far, NaN without a value."""
        return self.total / self.count if self.count else float("nan")


class MeanIoU(Mean):
    """Mean over images of the mean over an image's classes of the best mask's IoU.

    The VOC-style score of arXiv 2308.16271: which head or mask is the best is chosen for every
    image and class anew. Images without any class do not enter.
    """

    def add(self, value: dict[int, np.ndarray]) -> None:
        """Take up an image's `best_overlaps`."""
        if value:
            super().add(sum(float(each.max()) for each in value.values()) / len(value))


@dataclass
class MaxF:
    """The largest F-measure over thresholds of a map.

    Precision and recall of ``map >= t`` are averaged over images at each of 256 thresholds; the
    score is the largest ``1.3 P R / (0.3 P + R)``. Images without foreground do not enter.
    """

    images: int = 0
    precision: np.ndarray = field(default_factory=lambda: np.zeros(LEVELS))
    recall: np.ndarray = field(default_factory=lambda: np.zeros(LEVELS))

    def add(self, labels: np.ndarray, saliency: np.ndarray) -> None:
        """Take up an image.

        Args:
            labels: (H, W), as `truth.MaskFolder.of` gives; every class is foreground.
            saliency: (H, W), scaled here to its own range.
        """
        counts = labels != VOID
        foreground = labels[counts] > 0
        if not foreground.any():
            return
        levels = _levels(saliency)[counts]
        met = np.bincount(levels, minlength=LEVELS)[::-1].cumsum()[::-1]
        right = np.bincount(levels[foreground], minlength=LEVELS)[::-1].cumsum()[::-1]
        self.images += 1
        self.precision += right / np.maximum(met, 1)
        self.recall += right / foreground.sum()

    @property
    def value(self) -> float:
        """The score so far, NaN without an image."""
        if not self.images:
            return float("nan")
        p, r = self.precision / self.images, self.recall / self.images
        both = BETA_SQUARED * p + r
        return float(((1 + BETA_SQUARED) * p * r / np.where(both > 0, both, 1.0)).max())


def _levels(saliency: np.ndarray) -> np.ndarray:
    """A map as integers from 0 to 255 between its smallest and its largest value."""
    low, high = saliency.min(), saliency.max()
    scaled = (saliency - low) / (high - low) if high > low else np.zeros_like(saliency)
    return np.minimum((scaled * LEVELS).astype(np.int64), LEVELS - 1)
