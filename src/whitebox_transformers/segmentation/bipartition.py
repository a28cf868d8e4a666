"""The normalised cut: the second smallest eigenvector of a graph, and the two parts it tells apart.

``(D - A) v = mu D v`` for weights A and their row sums D (Shi and Malik 2000). The matrix is
dense, but one eigenvector is wanted: with ``w = D^(1/2) v`` it is the largest one of
``D^(-1/2) A D^(-1/2)`` once the known ``D^(1/2) 1`` is taken out. Lanczos finds it in some dozens
of products with A, where a full decomposition takes n^3 operations. Graphs that take it hundreds
or thousands have few edges: there what exceeds the smallest weight is sparse, and a product cheap.

Legend: n nodes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from whitebox_transformers.errors import UserError
from whitebox_transformers.extras import require

DENSE_NODES = 64
"""Up to so many nodes LAPACK decomposes the whole matrix, which is as fast."""
KRYLOV = 24
"""Vectors that Lanczos keeps."""
MOST_RESTARTS = 50
"""With a dense product; LAPACK takes less than more of them."""
MOST_SPARSE_RESTARTS = 2000
SPARSE = 0.1
"""Up to this share of weights above the smallest one, products are sparse."""
ALIKE = 1e-12
"""If a product leaves less than this of a vector, all nodes are alike and no cut is better."""


def second_eigenvector(affinity: np.ndarray) -> np.ndarray | None:
    """The eigenvector of the second smallest ``mu``, the same as ``scipy.linalg.eigh`` finds.

    Args:
        affinity: Symmetric weights (n, n), not negative, float64 or float32; every row has a
            positive sum.

    Returns:
        v, (n,) float64 with ``v^T D v = 1``; its entry of the largest absolute value is positive,
        since nothing else decides the sign. ``None`` if all nodes are alike, so that there is
        nothing to cut.

    Raises:
        UserError: No square matrix of finite weights with positive row sums.
        MissingExtra: SciPy is not installed.
    """
    degrees = _checked_degrees(affinity)
    if len(degrees) < 2:
        return None
    scale, known = degrees**-0.5, np.sqrt(degrees / degrees.sum())
    vector = _largest(affinity, scale, known)
    if vector is None:
        return None
    v = scale * vector
    v /= np.sqrt(v @ (degrees * v))
    return v if v[np.argmax(np.abs(v))] > 0 else -v


def bipartition(eigenvector: np.ndarray) -> np.ndarray:
    """The nodes whose entry is above the mean, (n,) bool.

    Nodes at the mean, as those are that hang together with no part of a graph in pieces, fall on
    the side to which rounding puts them.
    """
    return eigenvector > eigenvector.mean()


def _checked_degrees(affinity: np.ndarray) -> np.ndarray:
    if affinity.ndim != 2 or affinity.shape[0] != affinity.shape[1] or not affinity.size:
        raise UserError(f"affinity of shape {affinity.shape}: expected a square matrix (n, n)")
    degrees = affinity.sum(axis=1, dtype=np.float64)
    if not np.isfinite(degrees).all() or degrees.min() <= 0:
        raise UserError(
            "affinity: every row must have a finite positive sum; give unconnected nodes a small "
            "weight such as 1e-5"
        )
    return degrees


def _largest(affinity: np.ndarray, scale: np.ndarray, known: np.ndarray) -> np.ndarray | None:
    """The leading eigenvector of the scaled weights among what is orthogonal to ``known``."""
    n = len(scale)
    weigh, restarts = _product(affinity)

    def without_known(x: np.ndarray) -> np.ndarray:
        return x - known * (known @ x)

    def scaled(x: np.ndarray) -> np.ndarray:
        return without_known(scale * weigh(scale * x))

    def product(x: np.ndarray) -> np.ndarray:
        # One is added to every eigenvalue but that of ``known``, which stays the smallest.
        x = without_known(x.reshape(-1))
        return scaled(x) + x

    start = scaled(without_known(np.random.default_rng(0).standard_normal(n)))
    if np.linalg.norm(start) < ALIKE * np.sqrt(n):
        return None
    if n <= DENSE_NODES:
        return _decomposed(affinity, scale, known)
    sparse = require("scipy.sparse.linalg", extra="analysis")
    try:
        _, vectors = sparse.eigsh(
            sparse.LinearOperator((n, n), matvec=product, dtype=np.float64),
            k=1, which="LA", v0=start, ncv=KRYLOV, tol=0, maxiter=restarts,
        )  # fmt: skip
    except sparse.ArpackNoConvergence:
        return _decomposed(affinity, scale, known)
    return vectors[:, 0]


def _product(affinity: np.ndarray) -> tuple[Callable[[np.ndarray], np.ndarray], int]:
    """What multiplies a vector (n,) by the weights, and how many restarts of Lanczos it is worth.

    A is its smallest weight everywhere, a matrix of rank one, and what exceeds it.
    """
    least = affinity.min()
    edges = affinity > least
    if np.count_nonzero(edges) > SPARSE * edges.size:
        weights = torch.from_numpy(affinity).double()  # several times faster than numpy's product
        return lambda x: (weights @ torch.from_numpy(x)).numpy(), MOST_RESTARTS
    above = affinity[edges].astype(np.float64) - least
    sparse = require("scipy.sparse", extra="analysis")
    exceeding = sparse.csr_array((above, np.nonzero(edges)), shape=affinity.shape)
    return lambda x: least * x.sum() + exceeding @ x, MOST_SPARSE_RESTARTS


def _decomposed(affinity: np.ndarray, scale: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The same by LAPACK: for few nodes, and where Lanczos does not come to an end."""
    n = len(scale)
    matrix = scale[:, None] * affinity.astype(np.float64) * scale
    matrix += np.eye(n) - 2 * np.outer(known, known)
    linalg = require("scipy.linalg", extra="analysis")
    return linalg.eigh(matrix, subset_by_index=[n - 1, n - 1])[1][:, 0]
