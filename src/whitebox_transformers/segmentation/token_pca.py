"""PCA of the tokens of several images together, in two steps, as a scikit-learn estimator.

Step A tells foreground from background by the first component; step B is fitted again to the
foreground alone (arXiv 2308.16271 and the authors' code). Chunks of tokens pass by and only moments
of them are kept, so that memory does not grow with the number of images.

Legend: N tokens, D width, C components.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from whitebox_transformers.extras import require

require("sklearn", extra="analysis")
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin  # noqa: E402
from sklearn.utils.validation import check_is_fitted, validate_data  # noqa: E402


class TokenPCA(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Leading directions of tokens, of the foreground's tokens if asked.

    Args:
        n_components: C, directions kept.
        foreground: Find the foreground first: tokens whose first coordinate, scaled to 0 .. 1 over
            all tokens, is above ``threshold``.
        threshold: Between 0 and 1.
        invert: Take the other side as the foreground. The sign of a component is arbitrary; here
            its entry of the largest absolute value is positive.
        refit: Fit again to the foreground; otherwise the directions are those of all tokens.

    Attributes:
        mean_: (D,), of the tokens that the directions were fitted to.
        components_: (C, D), orthonormal rows.
        explained_variance_: (C,).
        explained_variance_ratio_: (C,).
        foreground_mean_: (D,), of all tokens; only if there is a foreground.
        foreground_component_: (D,), the first direction of all tokens; likewise.
        foreground_range_: Its smallest and largest coordinate; likewise.
        n_foreground_: How many tokens are foreground; all of them without one.
        n_samples_: N.
        n_features_in_: D.
    """

    def __init__(
        self,
        n_components: int = 3,
        *,
        foreground: bool = True,
        threshold: float = 0.5,
        invert: bool = False,
        refit: bool = True,
    ) -> None:
        self.n_components = n_components
        self.foreground = foreground
        self.threshold = threshold
        self.invert = invert
        self.refit = refit

    def fit(self, X: np.ndarray, y: object = None) -> Self:
        """Fit to tokens (N, D).

        Raises:
            ValueError: Parameters or tokens that cannot be used, as scikit-learn says it.
        """
        return self._fit([self._validated(X, ensure_min_samples=2)])

    def fit_chunks(self, chunks: Iterable[np.ndarray]) -> Self:
        """Fit to tokens that come in chunks (N_i, D), gone through up to three times.

        Args:
            chunks: Gives the same chunks each time it is iterated over; no iterator.

        Raises:
            ValueError: As :meth:`fit`, or an iterator, which could be gone through once only.
        """
        if iter(chunks) is chunks:
            raise ValueError("chunks is an iterator, which ends after one pass; give e.g. a list")
        return self._fit(chunks)

    def transform(self, X: np.ndarray) -> np.ndarray:
        """Coordinates (N, C) of tokens (N, D), of background too."""
        check_is_fitted(self)
        tokens = self._validated(X, reset=False)
        return (tokens - self.mean_.astype(tokens.dtype)) @ self.components_.T.astype(tokens.dtype)

    def is_foreground(self, X: np.ndarray) -> np.ndarray:
        """Which tokens (N, D) are foreground, (N,) bool; all of them without that step."""
        check_is_fitted(self)
        tokens = self._validated(X, reset=False)
        return self._foreground(tokens)

    @property
    def _n_features_out(self) -> int:
        return len(self.components_)

    def _validated(self, X: Any, **options: Any) -> np.ndarray:
        checked: Any = validate_data(self, X, dtype=(np.float64, np.float32), **options)
        return checked

    def _fit(self, chunks: Iterable[np.ndarray]) -> Self:
        if not 0 <= self.threshold <= 1:
            raise ValueError(f"threshold={self.threshold} must be between 0 and 1")
        everything = _moments(chunks)
        self.n_features_in_, self.n_samples_ = len(everything.mean), everything.count
        wanted, most = self.n_components, min(everything.count, self.n_features_in_)
        if not 1 <= wanted <= most:
            raise ValueError(
                f"n_components={wanted} must be between 1 and {most}, the smaller of "
                f"n_samples={everything.count} and n_features={self.n_features_in_}"
            )
        directions, variances = everything.directions()
        self.n_foreground_ = everything.count
        chosen = everything
        if self.foreground:
            self.foreground_mean_ = everything.mean
            self.foreground_component_ = directions[0]
            self.foreground_range_ = self._range(chunks)
            kept = _moments(chunk[self._foreground(chunk)] for chunk in chunks)
            self.n_foreground_ = kept.count
            if self.refit and kept.count > 1:
                chosen = kept
                directions, variances = kept.directions()
        self.mean_ = chosen.mean
        self.components_ = directions[:wanted]
        self.explained_variance_ = variances[:wanted]
        total = variances.sum()
        self.explained_variance_ratio_ = self.explained_variance_ / (total if total > 0 else 1.0)
        return self

    def _range(self, chunks: Iterable[np.ndarray]) -> tuple[float, float]:
        low, high = np.inf, -np.inf
        for chunk in chunks:
            values = self._first_coordinate(chunk)
            low = min(low, values.min(initial=np.inf))
            high = max(high, values.max(initial=-np.inf))
        return float(low), float(high)

    def _first_coordinate(self, tokens: np.ndarray) -> np.ndarray:
        return (tokens - self.foreground_mean_) @ self.foreground_component_

    def _foreground(self, tokens: np.ndarray) -> np.ndarray:
        if not self.foreground:
            return np.ones(len(tokens), dtype=bool)
        low, high = self.foreground_range_
        above = self._first_coordinate(tokens) > low + self.threshold * (high - low)
        return ~above if self.invert else above


@dataclass(frozen=True)
class _Moments:
    """Count, mean (D,) and scatter (D, D) about it, in float64."""

    count: int
    mean: np.ndarray
    scatter: np.ndarray

    def directions(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows of directions (D, D) and variances (D,), the largest first."""
        values, vectors = np.linalg.eigh(self.scatter / max(self.count - 1, 1))
        rows = vectors.T[::-1]
        peaks = rows[np.arange(len(rows)), np.abs(rows).argmax(1)]
        return rows * np.where(peaks < 0, -1.0, 1.0)[:, None], values[::-1].clip(min=0.0)


def _moments(chunks: Iterable[np.ndarray]) -> _Moments:
    """Moments of all chunks together, each centred by itself so that no digits are lost."""
    count, mean, scatter = 0, np.zeros(1), np.zeros((1, 1))
    for chunk in chunks:
        if not len(chunk):
            continue
        chunk = np.asarray(chunk, dtype=np.float64)
        own = chunk.mean(0)
        centred = chunk - own
        shift, total = own - mean, count + len(chunk)
        weight = count * len(chunk) / total
        scatter = scatter + centred.T @ centred + weight * np.outer(shift, shift)
        mean = mean + shift * (len(chunk) / total)
        count = total
    if count == 1 or not count:
        width = mean.shape[0]
        return _Moments(count, mean, np.zeros((width, width)))
    return _Moments(count, mean, scatter)
