"""The linear probe on features that were read before: scikit-learn's logistic regression."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from whitebox_transformers.errors import UserError
from whitebox_transformers.extras import require

LARGEST = 2 * 2**30
"""Bytes of training features that the solver, which wants them in memory, is given."""

Labelled = tuple[np.ndarray, np.ndarray]
"""Features (images, width) and classes (images,)."""


@dataclass(frozen=True)
class LinearFit:
    """The best of a few logistic regressions."""

    predicted: np.ndarray
    """Classes of the images to classify."""
    strength: float
    """C, the inverse of the L2 penalty."""
    validation_accuracy: float
    """By which it was chosen."""
    converged: bool
    """Whether the solver stopped by itself."""


def fit_linear(
    train: Labelled,
    validation: Labelled,
    queries: np.ndarray,
    strengths: Sequence[float],
    iterations: int,
) -> LinearFit:
    """Fit on standardised training features, choose C on validation, classify ``queries``.

    Each fit starts from the one before, with the next smaller C. Of equal ones the smaller C wins.

    Args:
        train: What is learned from.
        validation: What C is chosen by.
        queries: Features to classify, (Q, width).
        strengths: Every C.
        iterations: Steps of the solver at most, for each C.

    Raises:
        UserError: The training features do not fit in memory.
    """
    features, labels = train
    if features.nbytes > LARGEST:
        raise UserError(
            f"the linear probe wants {features.nbytes / 2**30:.1f} GiB of training features in "
            f"memory, at most {LARGEST / 2**30:.0f} are held; take fewer images with "
            "data.limit=N, or use SGD (--sgd-epochs) alone with --no-linear"
        )
    scaler = require("sklearn.preprocessing", extra="train").StandardScaler().fit(features)
    linear = require("sklearn.linear_model", extra="train")
    gave_up = require("sklearn.exceptions", extra="train").ConvergenceWarning
    model = linear.LogisticRegression(max_iter=iterations, warm_start=True)
    scaled, held = scaler.transform(features), scaler.transform(validation[0])
    best: LinearFit | None = None
    for strength in sorted(strengths):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", gave_up)
            model.set_params(C=strength).fit(scaled, labels)
        accuracy = float(np.mean(model.predict(held) == validation[1]))
        if best is None or accuracy > best.validation_accuracy:
            predicted = model.predict(scaler.transform(queries))
            converged = not any(issubclass(each.category, gave_up) for each in caught)
            best = LinearFit(predicted, strength, accuracy, converged)
    assert best is not None  # settings hold at least one strength
    return best
