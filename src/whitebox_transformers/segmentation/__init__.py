"""Segmentation that nobody trained for: MaskCut, attention as masks, PCA of tokens, their scores.

Everything here takes CRATE and black boxes alike, so that a comparison is the tool's own.
"""

from .bipartition import bipartition, second_eigenvector
from .maskcut import Cut, affinity, maskcut
from .shapes import box_of, mask_of_rle, mask_on_image, rle_of

__all__ = [
    "Cut",
    "affinity",
    "bipartition",
    "box_of",
    "mask_of_rle",
    "mask_on_image",
    "maskcut",
    "rle_of",
    "second_eigenvector",
]
