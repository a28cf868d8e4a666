"""What training minimises."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

IGNORED = -100
"""The label that no loss counts."""


class TokenLoss:
    """Cross-entropy of tokens, each weighing the same wherever it stands, with label smoothing.

    Args:
        shifted: Logits at a place are those of the token after it, as in causal models.
        label_smoothing: s in [0, 1), as of :class:`ClassificationLoss`.
    """

    def __init__(self, shifted: bool, label_smoothing: float = 0.0) -> None:
        self.shifted = shifted
        self.label_smoothing = label_smoothing

    def count(self, labels: torch.Tensor) -> int:
        """Number of tokens that are predicted."""
        return int((labels[:, 1:] if self.shifted else labels).ne(IGNORED).sum())

    def __call__(
        self, outputs: Any, labels: torch.Tensor, num_items_in_batch: torch.Tensor | int
    ) -> torch.Tensor:
        """Sum over these tokens, divided by the tokens of the whole optimiser step.

        Args:
            outputs: Model output with ``logits`` (B, N, V).
            labels: (B, N) token numbers, -100 where nothing is predicted.
            num_items_in_batch: Predicted tokens in all pieces of the step together.
        """
        logits, labels = self.pairs(outputs["logits"], labels)
        total = functional.cross_entropy(
            logits.flatten(0, 1),
            labels.flatten(),
            ignore_index=IGNORED,
            label_smoothing=self.label_smoothing,
            reduction="sum",
        )
        return total / num_items_in_batch

    def pairs(
        self, logits: torch.Tensor, labels: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits (B, M, V) float32 and the labels (B, M) they are to predict; M = N or N - 1."""
        if self.shifted:
            logits, labels = logits[:, :-1], labels[:, 1:]
        return logits.float(), labels


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
        """Number of samples."""
        return len(labels)

    def __call__(
        self,
        outputs: Any,
        labels: torch.Tensor,
        num_items_in_batch: torch.Tensor | int,
    ) -> torch.Tensor:
        """Sum over these samples, divided by the samples of the whole optimiser step.

        Args:
            outputs: Model output with ``logits`` (B, C).
            labels: (B,) class numbers or (B, C) distributions.
            num_items_in_batch: Samples in all pieces of the step together.
        """
        logits = outputs["logits"].float()
        total = functional.cross_entropy(
            logits, labels, label_smoothing=self.label_smoothing, reduction="sum"
        )
        return total / num_items_in_batch


class RegressionLoss:
    """Squared error of one number for each text."""

    def count(self, labels: torch.Tensor) -> int:
        """Number of texts."""
        return len(labels)

    def __call__(
        self, outputs: Any, labels: torch.Tensor, num_items_in_batch: torch.Tensor | int
    ) -> torch.Tensor:
        """Sum over these texts, divided by the texts of the whole optimiser step.

        Args:
            outputs: Model output with ``logits`` (B, 1).
            labels: (B,) numbers.
            num_items_in_batch: Texts in all pieces of the step together.
        """
        values = outputs["logits"].float().squeeze(-1)
        return functional.mse_loss(values, labels, reduction="sum") / num_items_in_batch
