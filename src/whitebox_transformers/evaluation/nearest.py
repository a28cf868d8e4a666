"""Weighted k-nearest neighbours as DINO defines them (arXiv 2104.14294, section 4).

Shapes: M training images, Q images to classify, D width, C classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch.nn.functional import normalize

from whitebox_transformers.errors import UserError

QUERIES_AT_ONCE = 1024
BANK_AT_ONCE = 16384


def nearest_classes(
    bank: np.ndarray,
    labels: np.ndarray,
    queries: np.ndarray,
    neighbours: Sequence[int],
    temperature: float = 0.07,
    device: str | torch.device = "cpu",
) -> dict[int, np.ndarray]:
    """The class that the k most similar training images vote for.

    Each of them votes for its own class with exp(cosine / temperature). Memory is bounded: neither
    ``bank`` nor ``queries``, which may be mapped from disk, is ever held as a whole.

    Args:
        bank: Features of the training images, (M, D).
        labels: Their classes, (M,), from 0.
        queries: Features to classify, (Q, D). The very array ``bank``: each image by the others.
        neighbours: Every k to use.
        temperature: T.
        device: Where to compute.

    Returns:
        Classes (Q,) for every k.

    Raises:
        UserError: A k is larger than M.
    """
    most, classes = max(neighbours), int(labels.max()) + 1
    others = len(bank) - (queries is bank)
    if most > others:
        raise UserError(f"k={most} is more than the {others} training images; give a smaller k")
    found: dict[int, list[np.ndarray]] = {k: [] for k in neighbours}
    own = 0 if queries is bank else None
    for piece in _unit_pieces(queries, QUERIES_AT_ONCE, device):
        similar, theirs = _most_similar(piece, bank, labels, most, device, own)
        own = None if own is None else own + len(piece)
        for k in neighbours:
            votes = piece.new_zeros(len(piece), classes)
            votes.scatter_add_(1, theirs[:, :k], (similar[:, :k] / temperature).exp())
            found[k].append(votes.argmax(1).cpu().numpy())
    return {k: np.concatenate(pieces) for k, pieces in found.items()}


def _most_similar(
    queries: torch.Tensor,
    bank: np.ndarray,
    labels: np.ndarray,
    k: int,
    device: str | torch.device,
    own: int | None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines and classes of the k most similar training images, best first; both (Q, k).

    Where the queries are images of the bank themselves, from number ``own`` on, they do not count.
    """
    best = queries.new_full((len(queries), 0), 0.0)
    theirs = torch.zeros_like(best, dtype=torch.int64)
    start = 0
    for piece in _unit_pieces(bank, BANK_AT_ONCE, device):
        classes = torch.as_tensor(labels[start : start + len(piece)], device=device)
        cosines = queries @ piece.mT
        if own is not None:
            cosines.diagonal(own - start).fill_(-torch.inf)
        best = torch.cat([best, cosines], dim=1)
        theirs = torch.cat([theirs, classes.long().expand(len(queries), -1)], dim=1)
        best, order = best.topk(min(k, best.shape[1]))
        theirs = theirs.gather(1, order)
        start += len(piece)
    return best, theirs


def _unit_pieces(
    features: np.ndarray, size: int, device: str | torch.device
) -> Iterator[torch.Tensor]:
    for start in range(0, len(features), size):
        piece = np.array(features[start : start + size], dtype=np.float32)
        yield normalize(torch.from_numpy(piece).to(device), dim=-1)
