"""What training minimises."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional


class ClassificationLoss:
    """Cross-entropy with label smoothing, for class numbers and for mixed (soft) labels.

    With s the smoothing and q the label's distribution over C classes, the target is
    (1 - s) q + s / C.

    Args:
        label_smoothing: s in [0, 1).
    """

    def __init__(self, label_smoothing: float) -> None:
        self.label_smoothing = label_smoothing

    def count(self, labels: torch.Tensor) -> int:
        """Number of images."""
        return len(labels)

    def __call__(
        self,
        outputs: Any,
        labels: torch.Tensor,
        num_items_in_batch: torch.Tensor | int,
    ) -> torch.Tensor:
        """Sum over these images, divided by the images of the whole optimiser step.

        Args:
            outputs: Model output with ``logits`` (B, C).
            labels: (B,) class numbers or (B, C) distributions.
            num_items_in_batch: Images in all pieces of the step together.
        """
        logits = outputs["logits"].float()
        total = functional.cross_entropy(
            logits, labels, label_smoothing=self.label_smoothing, reduction="sum"
        )
        return total / num_items_in_batch
