"""Loaders that can begin at any batch of any epoch."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from whitebox_transformers.data.dataset import ImageDataset, Sample
from whitebox_transformers.data.sampler import EpochSampler
from whitebox_transformers.data.stream import ImageStream, StreamBatches
from whitebox_transformers.errors import UserError


class BatchLoader(DataLoader):
    """A loader that passes on a worker's ``UserError`` without the worker's traceback."""

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        try:
            yield from super().__iter__()
        except UserError as error:
            message = str(error).rpartition(f"{UserError.__name__}: ")[2].strip()
            raise UserError(message) from error


class RankBatches(Sampler[list[tuple[int, int]]]):
    """Every ``world``-th full batch of an epoch, from batch ``start`` of this process on.

    Args:
        order: The images of the epoch.
        size: Images in a batch.
        start: How many batches of this process to leave out.
        rank: Number of this process.
        world: Number of processes; images that do not fill a batch for each are left out.
    """

    def __init__(
        self, order: EpochSampler, size: int, start: int = 0, rank: int = 0, world: int = 1
    ) -> None:
        self.order, self.size = order, size
        self.start, self.rank, self.world = start, rank, world

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        keys = list(self.order)
        for step in range(self.start, self._steps()):
            first = (step * self.world + self.rank) * self.size
            yield keys[first : first + self.size]

    def __len__(self) -> int:
        return max(0, self._steps() - self.start)

    def _steps(self) -> int:
        return len(self.order) // (self.size * self.world)


def training_batches(
    dataset: ImageDataset | ImageStream,
    size: int,
    epoch: int,
    start: int = 0,
    rank: int = 0,
    world: int = 1,
    workers: int = 0,
    pin_memory: bool = False,
) -> BatchLoader:
    """Shuffled full batches of one epoch, for one process.

    The batches depend on the data set's seed, ``epoch``, ``size`` and ``world``; not on
    ``workers``, and those from ``start`` on are the same as without ``start``.

    Args:
        dataset: A training split.
        size: Images per batch and process.
        epoch: Which epoch, from 0.
        start: How many batches of this process to leave out at the beginning.
        rank: Number of this process.
        world: Number of processes.
        workers: Worker processes that decode; 0: this one does.
        pin_memory: For copies to a GPU.

    Raises:
        UserError: There are fewer images than one batch for every process.
    """
    common = {"num_workers": workers, "pin_memory": pin_memory}
    if isinstance(dataset, ImageStream):
        batches = StreamBatches(dataset, size, epoch, start, rank, world, workers)
        return BatchLoader(batches, batch_size=None, **common)
    if len(dataset) < size * world:
        raise UserError(
            f"{len(dataset)} training images do not fill a batch of {size} on {world} process(es); "
            f"make the batch smaller"
        )
    order = EpochSampler(len(dataset), dataset.seed, epoch)
    batches = RankBatches(order, size, start, rank, world)
    return BatchLoader(dataset, batch_sampler=batches, **common)


def evaluation_batches(
    dataset: Dataset[Sample] | ImageStream, size: int, workers: int = 0, pin_memory: bool = False
) -> BatchLoader:
    """All images of a split once, in order; the last batch may be smaller."""
    common = {"num_workers": workers, "pin_memory": pin_memory}
    if isinstance(dataset, ImageStream):
        return BatchLoader(StreamBatches(dataset, size, workers=workers), batch_size=None, **common)
    return BatchLoader(dataset, batch_size=size, shuffle=False, **common)
