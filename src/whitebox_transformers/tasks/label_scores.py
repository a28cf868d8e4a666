"""Scores of predicted classes and of predicted numbers, by the rules of GLUE (arXiv 1804.07461)."""

from __future__ import annotations

import torch

from whitebox_transformers.extras import require
from whitebox_transformers.tasks.task import Score

LOSS = Score("loss", "loss", "cross-entropy per text (nats)")
SQUARED_ERROR = Score("loss", "squared error", "mean squared error per text")
CLASS_SCORES = (
    Score("accuracy", "accuracy", "share classified correctly (0 to 1)", "{:.2%}", True),
    Score("f1", "F1", "harmonic mean of precision and recall (0 to 1)", "{:.4f}", True),
    Score("matthews", "Matthews", "correlation of classes (-1 to 1)", "{:.4f}", True),
    LOSS,
)
NUMBER_SCORES = (
    Score("pearson", "Pearson", "correlation (-1 to 1)", "{:.4f}", True),
    Score("spearman", "Spearman", "correlation of ranks (-1 to 1)", "{:.4f}", True),
    SQUARED_ERROR,
)


def class_scores(labels: torch.Tensor, predicted: torch.Tensor, classes: int) -> dict[str, float]:
    """Accuracy, F1, and Matthews' correlation coefficient.

    F1 is that of class 1 where there are two classes, otherwise the mean over classes. Matthews is
    0 where all labels and predictions are the same.

    Args:
        labels: (n,) numbers of classes.
        predicted: (n,) likewise.
        classes: How many there are.
    """
    metrics = require("sklearn.metrics", extra="train")
    truth, found = labels.long().numpy(), predicted.long().numpy()
    several = len({*truth.tolist(), *found.tolist()}) > 1
    average = "binary" if classes == 2 else "macro"
    return {
        "accuracy": float((truth == found).mean()),
        "f1": float(metrics.f1_score(truth, found, average=average, zero_division=0.0)),
        "matthews": float(metrics.matthews_corrcoef(truth, found)) if several else 0.0,
    }


def number_scores(targets: torch.Tensor, predicted: torch.Tensor) -> dict[str, float]:
    """Pearson's correlation, and Spearman's, which is that of the ranks.

    A constant has no correlation with anything; it scores 0.

    Args:
        targets: (n,) numbers.
        predicted: (n,) likewise.
    """
    stats = require("scipy.stats", extra="train")
    truth, found = targets.double().numpy(), predicted.double().numpy()
    if truth.std() == 0 or found.std() == 0:
        return {"pearson": 0.0, "spearman": 0.0}
    return {
        "pearson": float(stats.pearsonr(truth, found).statistic),
        "spearman": float(stats.spearmanr(truth, found).statistic),
    }
