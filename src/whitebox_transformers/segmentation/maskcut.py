"""MaskCut: objects as repeated normalised cuts of the graph of patches.

The algorithm of CutLER (arXiv 2301.11320), which grew from TokenCut, with the constants that arXiv
2308.16271 takes for CRATE, and as in its tables without a CRF: patches whose features resemble each
other are joined, the second eigenvector splits them, the connected part around its peak is a mask,
its features are set to zero, and so on.

Legend: N patches, D feature width; a grid has so many rows and columns of patches.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from torch import Tensor

from whitebox_transformers.errors import UserError
from whitebox_transformers.extras import require
from whitebox_transformers.segmentation.bipartition import bipartition, second_eigenvector

Similarity = Literal["cosine", "inner"]
"""``inner``: products of features as they are, which the text of arXiv 2308.16271 describes."""

THRESHOLD = 0.15
"""As arXiv 2308.16271 for CRATE; CutLER's script takes 0.2."""
UNCONNECTED = 1e-5
CORNERS_OF_BACKGROUND = 3
SAME_OBJECT = 0.5
LEAST_SHARE = 0.01


@dataclass(frozen=True)
class Cut:
    """One round of MaskCut on the grid.

    Attributes:
        mask: (rows, columns) bool, without the patches of earlier masks; empty if the round found
            what an earlier one had found, next to nothing, or nothing to cut.
        eigenvector: (rows, columns) float64, larger on the object's side of the cut.
    """

    mask: np.ndarray
    eigenvector: np.ndarray


def maskcut(
    features: Tensor | np.ndarray,
    masks: int = 3,
    threshold: float = THRESHOLD,
    similarity: Similarity = "cosine",
) -> list[Cut]:
    """Find objects in one image.

    Args:
        features: (rows, columns, D), as `analysis.patches.patch_features` gives for an image.
        masks: Rounds, at least one.
        threshold: Patches more similar than this are joined by weight 1, others by 1e-5.
        similarity: Cosine of two features, or their inner product.

    Returns:
        A cut a round. The sign that an eigenvector happens to have decides nothing: where the side
        of its peak holds three corners or more, the other side is the object.

    Raises:
        UserError: An unknown similarity, no round, or features that are not finite or no grid.
        MissingExtra: SciPy is not installed.
    """
    tokens, grid = _checked(features, masks, similarity)
    covered = np.zeros(grid, dtype=bool)
    cuts: list[Cut] = []
    last = np.zeros(grid, dtype=bool)
    part, eigenvector = last, np.zeros(grid)
    for round_ in range(masks):
        if round_ == 0 or last.any():  # otherwise the graph is the one before
            painted = tokens * ~covered.reshape(-1, 1)
            part, eigenvector = _object(affinity(painted, threshold, similarity), grid)
        found = part
        if round_ and (_iou(last, part) > SAME_OBJECT or part.mean() <= LEAST_SHARE):
            found = np.zeros(grid, dtype=bool)
        cuts.append(Cut(found & ~covered, eigenvector))
        covered, last = covered | found, found
    return cuts


def affinity(
    features: np.ndarray, threshold: float = THRESHOLD, similarity: Similarity = "cosine"
) -> np.ndarray:
    """Weights (N, N) float64 of features (N, D): 1 above the threshold, 1e-5 elsewhere."""
    if similarity == "cosine":
        lengths = np.linalg.norm(features, axis=1, keepdims=True)
        features = features / np.maximum(lengths, 1e-12)
    return np.where(features @ features.T > threshold, 1.0, UNCONNECTED)


def _checked(
    features: Tensor | np.ndarray, masks: int, similarity: str
) -> tuple[np.ndarray, tuple[int, int]]:
    """Features (N, D) float32 and their grid."""
    if masks < 1:
        raise UserError(f"masks={masks} must be at least 1: rounds of MaskCut")
    if similarity not in get_args(Similarity):
        known = ", ".join(get_args(Similarity))
        raise UserError(f"similarity {similarity!r} is not known; choose from {known}")
    values = np.asarray(features, dtype=np.float32)
    if values.ndim != 3 or not values.size:
        raise UserError(
            f"features of shape {values.shape}: expected (rows, columns, width) of one image"
        )
    if not np.isfinite(values).all():
        raise UserError("features: some are not finite; the model may have diverged in training")
    rows, columns, width = values.shape
    return values.reshape(-1, width), (rows, columns)


def _object(weights: np.ndarray, grid: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """The object's connected part (rows, columns), and the eigenvector turned towards it."""
    v = second_eigenvector(weights)
    if v is None:
        return np.zeros(grid, dtype=bool), np.zeros(grid)
    v = v.reshape(grid)
    if np.count_nonzero(bipartition(v)[np.ix_((0, -1), (0, -1))]) >= CORNERS_OF_BACKGROUND:
        v, side = -v, ~bipartition(v)
    else:
        side = bipartition(v)
    seed = np.unravel_index(np.argmax(v), grid)
    labels, _ = require("scipy.ndimage", extra="analysis").label(side)  # neighbours share an edge
    return labels == labels[seed], v


def _iou(a: np.ndarray, b: np.ndarray) -> float:
    union = np.count_nonzero(a | b)
    return np.count_nonzero(a & b) / union if union else 0.0
