"""The order of the images in each epoch."""

from __future__ import annotations

from collections.abc import Iterator

from torch.utils.data import Sampler

from whitebox_transformers.data.seeding import permutation


class EpochSampler(Sampler[tuple[int, int]]):
    """Yields ``(epoch, index)``: all that a training image's augmentation depends on.

    The order of an epoch is a function of ``seed`` and ``epoch`` alone.

    Args:
        length: Number of images.
        seed: The run's seed.
        epoch: The epoch to begin with.
    """

    def __init__(self, length: int, seed: int, epoch: int = 0) -> None:
        self.length, self.seed, self.epoch = length, seed, epoch

    def set_epoch(self, epoch: int) -> None:
        """Go to an epoch."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[tuple[int, int]]:
        epoch = self.epoch
        order = permutation(self.length, "order", self.seed, epoch).tolist()
        return ((epoch, index) for index in order)

    def __len__(self) -> int:
        return self.length
