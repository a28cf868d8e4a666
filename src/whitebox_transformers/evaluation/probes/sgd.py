"""The linear probe as it is trained where augmentation is wanted: SGD on a frozen backbone.

DINO's settings (momentum 0.9, no weight decay, cosine to 0, weights from N(0, 0.01)), with the
normalisation of MAE's probe in front (a BatchNorm without affine part), so that one learning rate
suits features of any scale. Shapes: B images, D width, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from tqdm import tqdm

from whitebox_transformers.data.loading import training_batches
from whitebox_transformers.data.protocol import Split
from whitebox_transformers.data.seeding import seed_of, seeded
from whitebox_transformers.errors import UserError

RATE_IS_FOR = 256
"""The batch that learning rates are given for; others scale them in proportion."""
ROWS_AT_ONCE = 4096


@dataclass(frozen=True)
class SgdFit:
    """The best of a few heads that were trained side by side."""

    predicted: np.ndarray
    """Classes of the images to classify."""
    rate: float
    """Learning rate for a batch of 256."""
    validation_accuracy: float
    """By which it was chosen."""


def fit_by_sgd(
    train: Split,
    validation: tuple[np.ndarray, np.ndarray],
    queries: np.ndarray,
    read: Callable[[torch.Tensor], torch.Tensor],
    classes: int,
    rates: Sequence[float],
    epochs: int,
    batch_size: int,
    seed: int,
    device: torch.device,
) -> SgdFit:
    """Train a head for every learning rate on the same augmented images; validation chooses.

    Args:
        train: With augmentation.
        validation: Features (images, D) and classes, without.
        queries: Features to classify, (Q, D), without.
        read: From images on ``device`` to features (B, D).
        classes: C.
        rates: Learning rates for a batch of 256.
        epochs: Passes over ``train``.
        batch_size: Images in a step.
        seed: Of the fresh weights; order and augmentation are the split's own.
        device: Where to compute.

    Raises:
        UserError: ``train`` is a stream, whose length the schedule would have to know.
    """
    if not hasattr(train, "__len__"):
        raise UserError(
            "data.streaming=true: the probe by SGD needs to know how many images it has"
        )
    width = queries.shape[1]
    with seeded(seed_of("probe", seed)):
        weights = 0.01 * torch.randn(classes, width)
    heads = nn.ModuleList(_head(weights) for _ in rates).to(device)
    norm = nn.BatchNorm1d(width, eps=1e-6, affine=False).to(device)
    groups = [
        {"params": list(head.parameters()), "lr": rate * batch_size / RATE_IS_FOR}
        for head, rate in zip(heads, rates, strict=True)
    ]
    optimizer = torch.optim.SGD(groups, momentum=0.9)
    steps = epochs * (len(train) // batch_size)  # type: ignore[arg-type]
    cosine = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: (1 + math.cos(math.pi * step / max(1, steps))) / 2
    )
    for epoch in tqdm(range(epochs), desc="linear probe by SGD", unit="epoch", leave=False):
        for batch in training_batches(train, batch_size, epoch):
            features = norm(read(batch["pixel_values"].to(device)).clone())
            labels = batch["labels"].to(device)
            loss = sum(cross_entropy(head(features), labels) for head in heads)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[union-attr]
            optimizer.step()
            cosine.step()
    norm.eval()
    accuracies = [
        float(np.mean(_classify(head, norm, validation[0], device) == validation[1]))
        for head in heads
    ]
    best = int(np.argmax(accuracies))
    predicted = _classify(heads[best], norm, queries, device)
    return SgdFit(predicted, rates[best], accuracies[best])


def _head(weights: torch.Tensor) -> nn.Linear:
    head = nn.Linear(weights.shape[1], weights.shape[0], device="meta").to_empty(device="cpu")
    with torch.no_grad():
        head.weight.copy_(weights)
        head.bias.zero_()
    return head


@torch.no_grad()
def _classify(
    head: nn.Module, norm: nn.Module, features: np.ndarray, device: torch.device
) -> np.ndarray:
    pieces = []
    for start in range(0, len(features), ROWS_AT_ONCE):
        piece = torch.from_numpy(np.array(features[start : start + ROWS_AT_ONCE])).to(device)
        pieces.append(head(norm(piece)).argmax(1).cpu().numpy())
    return np.concatenate(pieces)
