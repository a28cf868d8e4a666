"""MaskCut as published, with a full decomposition by LAPACK: one plain loop in numpy and scipy.

Steps and constants of CutLER (arXiv 2301.11320), without its CRF. LAPACK leaves the sign of an
eigenvector open; it is fixed here before the rules about corners and peak are applied.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from scipy.linalg import eigh


def eigenvectors(affinity: np.ndarray, how_many: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """``mu`` and v of (D - A) v = mu D v from the second smallest on."""
    degrees = np.diag(affinity.sum(axis=1))
    return eigh(degrees - affinity, degrees, subset_by_index=[1, how_many])


def affinity(features: np.ndarray, tau: float, eps: float = 1e-5) -> np.ndarray:
    """Features (D, n) to weights (n, n)."""
    lengths = np.sqrt((features**2).sum(axis=0))
    unit = features / np.where(lengths > 0, lengths, 1.0)
    above = unit.T @ unit > tau
    return np.where(above, 1.0, eps)


def masks(features: np.ndarray, grid: tuple[int, int], tau: float, rounds: int) -> list[np.ndarray]:
    """Features (D, n) to one mask a round, bool on the grid."""
    features = features.copy()
    painting = np.zeros(grid)
    current = np.zeros(grid)
    kept: list[np.ndarray] = []
    for i in range(rounds):
        if i > 0:
            painting = np.clip(painting + current, 0, 1)
            features = features * (1 - painting.reshape(-1))
        v = eigenvectors(affinity(features, tau))[1][:, 0]
        v = v * np.sign(v[np.argmax(np.abs(v))])
        part = (v > v.sum() / len(v)).reshape(grid)
        corners = int(part[0, 0]) + int(part[0, -1]) + int(part[-1, 0]) + int(part[-1, -1])
        reverse = corners >= 3 or not part.reshape(-1)[np.argmax(np.abs(v))]
        if reverse:
            part, v = ~part, -v
        seed = np.unravel_index(np.argmax(v), grid)
        labels, _ = ndimage.label(part)
        found = (labels == labels[seed]).astype(float)
        if i > 0:
            both, either = ((found > 0) & (current > 0)).sum(), ((found > 0) | (current > 0)).sum()
            if both > 0.5 * either or found.sum() <= 0.01 * found.size:
                found = np.zeros(grid)
        current = found
        kept.append(np.clip(found - np.sum(kept, axis=0), 0, None) if kept else found)
    return [mask > 0 for mask in kept]
