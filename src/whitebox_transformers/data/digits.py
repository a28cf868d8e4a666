"""scikit-learn's handwritten digits: 1,797 images of 8 x 8 pixels, one channel, ten classes."""

from __future__ import annotations

import numpy as np
import torch

from whitebox_transformers.data.records import ImageSource, Record
from whitebox_transformers.extras import require


class DigitsSource:
    """One split of the digits, held in memory."""

    def __init__(self, pixels: np.ndarray, labels: np.ndarray, split: str) -> None:
        self.pixels = torch.from_numpy(pixels)  # (images, 8, 8) uint8
        self.labels = torch.from_numpy(labels.astype(np.int64))
        self.split = split

    def record(self, index: int) -> Record:
        image = require("PIL.Image", extra="train").fromarray(self.pixels[index].numpy())
        return Record(f"digits {self.split} image {index}", int(self.labels[index]), image)

    def __len__(self) -> int:
        return len(self.labels)


def open_digits() -> tuple[dict[str, ImageSource], list[str]]:
    """The ``train`` (1,437 images) and ``test`` (360) splits, and the class names.

    The split is ``train_test_split(test_size=0.2, stratify=y, random_state=0)``. Grey values 0 to
    16 become 0 to 255.
    """
    digits = require("sklearn.datasets", extra="train").load_digits()
    split = require("sklearn.model_selection", extra="train").train_test_split
    pixels = np.round(digits.images * (255 / 16)).astype(np.uint8)
    train_x, test_x, train_y, test_y = split(
        pixels, digits.target, test_size=0.2, stratify=digits.target, random_state=0
    )
    names = [str(name) for name in digits.target_names]
    sources = {"train": (train_x, train_y), "test": (test_x, test_y)}
    return {name: DigitsSource(x, y, name) for name, (x, y) in sources.items()}, names
