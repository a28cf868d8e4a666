"""The objects found, held against drawn masks or COCO annotations, image by image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from whitebox_transformers.segmentation.average_precision import CocoAnnotations
from whitebox_transformers.segmentation.objects import Objects
from whitebox_transformers.segmentation.reading import ImageRead
from whitebox_transformers.segmentation.scores import MaxF, Mean, MeanIoU, best_overlaps, iou
from whitebox_transformers.segmentation.shapes import map_on_image
from whitebox_transformers.segmentation.truth import VOID, MaskFolder


@dataclass(frozen=True)
class Truth:
    """What people said of one image.

    Attributes:
        labels: (H, W), as `MaskFolder.of` gives, or ``None``.
        image_id: Of the annotations, or ``None``.
    """

    labels: np.ndarray | None
    image_id: int | None


class ObjectScores:
    """Running scores; memory is bounded but for what COCO's average precision needs.

    Args:
        masks: Drawn masks, or none.
        coco: Annotations, or none.
    """

    def __init__(
        self, masks: MaskFolder | None = None, coco: CocoAnnotations | None = None
    ) -> None:
        self.masks, self.coco = masks, coco
        self.best, self.first, self.max_f = MeanIoU(), Mean(), MaxF()

    def check(self, files: Sequence[Path]) -> None:
        """Refuse images of which not one can be scored.

        Raises:
            UserError: Naming the first of them.
        """
        for truth in (self.masks, self.coco):
            if truth is not None:
                truth.check(files)

    def truth(self, image: ImageRead) -> Truth:
        """What people said of an image.

        Raises:
            Fault: Nothing, or of another size.
        """
        return Truth(
            None if self.masks is None else self.masks.of(image.path, image.size),
            None if self.coco is None else self.coco.expects(image.path, image.size),
        )

    def add(self, truth: Truth, found: Objects) -> None:
        """Take up the objects of an image."""
        if self.coco is not None and truth.image_id is not None:
            self.coco.add(truth.image_id, found.masks)
        if truth.labels is not None:
            self.add_labels(truth.labels, found)

    def add_labels(self, labels: np.ndarray, found: Objects) -> None:
        """Take up objects held against drawn labels (H, W) alone."""
        counts = labels != VOID
        if not (labels > 0).any():
            return
        nothing = np.zeros(labels.shape, dtype=bool)
        self.best.add(best_overlaps(labels, found.masks or [nothing]))
        first = found.masks[0] if found.masks else nothing
        self.first.add(iou(first & counts, labels > 0))
        self.max_f.add(labels, map_on_image(found.first_round, labels.shape))

    def values(self) -> dict[str, float]:
        """Scores between 0 and 1 by name.

        ``miou``: mean over images and their classes of the best mask's IoU. ``first_iou``: mean IoU
        of the first mask with all that is not background. ``max_f``: of the first eigenvector.
        ``box_ap`` and so on: see `CocoAnnotations.scores`.
        """
        values: dict[str, float] = {}
        if self.masks is not None:
            values |= {
                "miou": self.best.value,
                "first_iou": self.first.value,
                "max_f": self.max_f.value,
            }
        return values if self.coco is None else values | self.coco.scores()
