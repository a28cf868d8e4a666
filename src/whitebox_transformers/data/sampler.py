"""The order of the images in each epoch."""

from __future__ import annotations

from collections.abc import Iterator

from torch.utils.data import Sampler

from whitebox_transformers.data.seeding import permutation


class EpochSampler(Sampler[tuple[int, int]]):
    """Yields ``(epoch, index)``: all that a training image's augmentation depends on.

    The order of an epoch is a function of ``seed`` and ``epoch`` alone, so a run can begin at any
    position of any epoch.

    Args:
        length: Number of images.
        seed: The run's seed.
        epoch: The epoch to begin with.
        start: How many images of that epoch to leave out at its beginning; later epochs are whole.
        shuffle: Whether to permute the images, or to yield them in order.
    """

    def __init__(
        self, length: int, seed: int, epoch: int = 0, start: int = 0, shuffle: bool = True
    ) -> None:
        self.length = length
        self.seed = seed
        self.epoch = epoch
        self.start = start
        self.shuffle = shuffle

    def set_epoch(self, epoch: int) -> None:
        """Go to an epoch. A start position is kept only if the epoch is the present one."""
        if epoch != self.epoch:
            self.epoch, self.start = epoch, 0

    def __iter__(self) -> Iterator[tuple[int, int]]:
        if self.shuffle:
            order = permutation(self.length, "order", self.seed, self.epoch)[self.start :].tolist()
        else:
            order = range(self.start, self.length)
        epoch = self.epoch
        return ((epoch, index) for index in order)

    def __len__(self) -> int:
        return self.length - self.start
