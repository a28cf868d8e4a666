"""The objects that MaskCut finds in an image, as pixels and boxes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, get_args

import numpy as np

from whitebox_transformers.analysis.layers import checked_index
from whitebox_transformers.analysis.patches import Facet, patch_features
from whitebox_transformers.errors import UserError
from whitebox_transformers.segmentation.encoder import ImageEncoder
from whitebox_transformers.segmentation.maskcut import THRESHOLD, Similarity, maskcut
from whitebox_transformers.segmentation.reading import ImageRead
from whitebox_transformers.segmentation.shapes import box_of, mask_on_image

MOST_PATCHES = 10_000
"""Of one image: the graph's weights take 800 MB then."""


@dataclass(frozen=True)
class MaskCutSettings:
    """How objects are looked for; see `maskcut` and `patch_features`.

    Attributes:
        masks: Rounds.
        layer: From 0, or negative from the end.
        facet: What of the layer's attention describes a patch.
        threshold: Of the similarity.
        similarity: ``cosine`` or ``inner``.
    """

    masks: int = 3
    layer: int = -1
    facet: Facet = "key"
    threshold: float = THRESHOLD
    similarity: Similarity = "cosine"

    def check(self, encoder: ImageEncoder) -> None:
        """Refuse what this model or `maskcut` would refuse, before any image is read.

        Raises:
            UserError: Naming the setting.
        """
        checked_index("layer", self.layer, encoder.model.config.num_hidden_layers)
        if self.masks < 1:
            raise UserError(f"masks={self.masks} must be at least 1: rounds of MaskCut")
        for name, kind in (("facet", Facet), ("similarity", Similarity)):
            if getattr(self, name) not in get_args(kind):
                raise UserError(
                    f"{name} {getattr(self, name)!r} is not known; choose from "
                    f"{', '.join(get_args(kind))}"
                )

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True)
class Objects:
    """What MaskCut found in one image of H x W pixels.

    Attributes:
        masks: (H, W) bool each, in the order of the rounds, empty ones left out.
        first_round: (rows, columns) float64, the first eigenvector turned towards its object.
    """

    masks: list[np.ndarray]
    first_round: np.ndarray

    @property
    def boxes(self) -> list[tuple[int, int, int, int]]:
        """Left, top, width, height of each mask in pixels."""
        return [box for box in map(box_of, self.masks) if box is not None]


def find_objects(encoder: ImageEncoder, image: ImageRead, settings: MaskCutSettings) -> Objects:
    """Look for objects in an image.

    Raises:
        UserError: Settings that the model does not fit, or features that are not finite.
    """
    features = patch_features(encoder.model, image.pixel_values, settings.layer, settings.facet)
    cuts = maskcut(features[0], settings.masks, settings.threshold, settings.similarity)
    masks = (mask_on_image(cut.mask, image.read, image.size) for cut in cuts if cut.mask.any())
    return Objects([mask for mask in masks if mask.any()], cuts[0].eigenvector)
