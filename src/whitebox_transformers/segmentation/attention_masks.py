"""Attention of the class token as masks: by mass, scored head by head, and under pixel noise.

Legend: K heads, H, W height and width of an image in pixels; a grid has rows and columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from whitebox_transformers.analysis.attention import class_attention
from whitebox_transformers.errors import UserError
from whitebox_transformers.extras import require
from whitebox_transformers.segmentation.encoder import ImageEncoder
from whitebox_transformers.segmentation.reading import ImageRead
from whitebox_transformers.segmentation.scores import MaxF, Mean, MeanIoU, best_overlaps, iou
from whitebox_transformers.segmentation.shapes import map_on_image, nearest_on_image

if TYPE_CHECKING:
    from PIL.Image import Image

MASS = 0.6
"""Share of a head's attention that its mask keeps, as in DINO and arXiv 2308.16271."""


def head_maps(encoder: ImageEncoder, image: ImageRead, layer: int) -> np.ndarray:
    """Attention of the class token to every patch, (K, rows, columns) float32.

    Args:
        encoder: The model.
        image: As the model reads it.
        layer: From 0, or negative from the end.

    Raises:
        UserError: No such layer, layers without attention, or a model without a class token.
    """
    (maps,) = class_attention(encoder.model, image.pixel_values, [layer]).values()
    return maps[0].numpy()


def mass_mask(weights: np.ndarray, mass: float = MASS) -> np.ndarray:
    """The fewest patches of the largest weights that hold a share of all the attention to patches.

    Args:
        weights: (..., rows, columns), not negative.
        mass: Share between 0 and 1.

    Returns:
        Bool of the same shape; patches of equal weight are taken from the last of the grid.

    Raises:
        UserError: ``mass`` is not between 0 and 1.
    """
    if not 0 < mass <= 1:
        raise UserError(f"mass={mass} must be above 0 and at most 1: a share of the attention")
    flat = weights.reshape(*weights.shape[:-2], -1).astype(np.float64)
    order = np.argsort(flat, axis=-1, kind="stable")
    rising = np.cumsum(np.take_along_axis(flat, order, -1), -1)
    kept = rising > (1 - mass) * rising[..., -1:]
    mask = np.empty(flat.shape, dtype=bool)
    np.put_along_axis(mask, order, kept, -1)
    return mask.reshape(weights.shape)


@dataclass
class HeadScores:
    """How well heads agree with drawn masks, running over images.

    Attributes:
        heads: K.
        mass: Share of the attention that a head's mask keeps.
        best: Mean over images and classes of the best head's IoU, chosen anew each time.
        each: Of every head, the mean IoU with all that is not background.
        max_f: Of the mean map over heads.
        chosen: How often each head was the best for a class of an image.
    """

    heads: int
    mass: float = MASS
    best: MeanIoU = field(default_factory=MeanIoU)
    each: list[Mean] = field(default_factory=list)
    max_f: MaxF = field(default_factory=MaxF)
    chosen: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=int))

    def __post_init__(self) -> None:
        self.each = [Mean() for _ in range(self.heads)]
        self.chosen = np.zeros(self.heads, dtype=int)

    def add(self, labels: np.ndarray, maps: np.ndarray) -> None:
        """Take up an image.

        Args:
            labels: (H, W), as `truth.MaskFolder.of` gives.
            maps: (K, rows, columns).
        """
        if not (labels > 0).any():
            return
        masks = [nearest_on_image(mask, labels.shape) for mask in mass_mask(maps, self.mass)]
        overlaps = best_overlaps(labels, masks)
        self.best.add(overlaps)
        for values in overlaps.values():
            self.chosen[np.argmax(values)] += 1
        counts = labels >= 0
        for mean, mask in zip(self.each, masks, strict=True):
            mean.add(iou(mask & counts, labels > 0))
        self.max_f.add(labels, map_on_image(maps.mean(0), labels.shape))

    def values(self) -> dict[str, float]:
        """``best_head_miou``, ``one_head_iou`` (the head that is best on average), ``max_f``."""
        return {
            "best_head_miou": self.best.value,
            "one_head_iou": max(mean.value for mean in self.each),
            "max_f": self.max_f.value,
        }

    def by_head(self, heads: Sequence[int]) -> list[dict[str, float]]:
        """A row a head, called by ``heads``: mean IoU, and for how many classes it was the best."""
        rows = zip(heads, self.each, self.chosen, strict=True)
        return [
            {"head": head, "iou": mean.value, "best_for": int(count)} for head, mean, count in rows
        ]


@dataclass(frozen=True)
class PixelNoise:
    """Gaussian noise on some pixels.

    Attributes:
        std: On the scale of 0 to 255.
        share: Of the pixels, drawn at random.
        seed: Noise is a function of it and of the image's number.
    """

    std: float
    share: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.std < 0 or not 0 < self.share <= 1:
            raise UserError(
                f"noise of deviation {self.std} on a share {self.share} of pixels: expected a "
                "deviation from 0 and a share above 0 and at most 1"
            )

    def on(self, image: Image, number: int) -> Image:
        """The image with noise, values kept between 0 and 255."""
        rng = np.random.default_rng((self.seed, number))
        pixels = np.asarray(image).astype(np.float64)
        hit = rng.random(pixels.shape[:2]) < self.share
        noise = self.std * rng.standard_normal(pixels.shape)
        noisy = np.where(hit if pixels.ndim == 2 else hit[..., None], pixels + noise, pixels)
        values = np.round(noisy).clip(0, 255).astype(np.uint8)
        return require("PIL.Image", extra="analysis").fromarray(values)


@dataclass
class Stability:
    """How alike maps with and without noise are, over heads and images.

    Attributes:
        correlation: Pearson's, of the weights of a head over patches.
        overlap: IoU of the masks by mass.
    """

    mass: float = MASS
    correlation: Mean = field(default_factory=Mean)
    overlap: Mean = field(default_factory=Mean)

    def add(self, plain: np.ndarray, noisy: np.ndarray) -> None:
        """Take up the maps of an image, (K, rows, columns) each."""
        for a, b in zip(plain, noisy, strict=True):
            self.correlation.add(_correlation(a, b))
        for a, b in zip(mass_mask(plain, self.mass), mass_mask(noisy, self.mass), strict=True):
            self.overlap.add(iou(a, b))


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a - a.mean(), b - b.mean()
    lengths = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float((a * b).sum()) / lengths if lengths else float((a == b).all())
