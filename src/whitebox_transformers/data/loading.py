"""Loaders that can begin at any batch of any epoch."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader, Sampler

from whitebox_transformers.data.protocol import AddressedSplit, Split, StreamedSplit
from whitebox_transformers.data.sampler import EpochSampler
from whitebox_transformers.errors import UserError

LAST_SECONDS = 60
"""How long a worker goes on after SIGTERM."""


class BatchLoader(DataLoader):
    """A loader that passes on a worker's ``UserError`` without the worker's traceback.

    Its workers survive SIGTERM for a while: batch systems send it to every process of a job, and
    the step in which it comes is to be finished.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, worker_init_fn=_live_on, **options)

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        batches = super().__iter__()
        try:
            yield from batches
        except UserError as error:
            message = str(error).rpartition(f"{UserError.__name__}: ")[2].strip()
            raise UserError(message) from error
        except (OSError, EOFError) as error:
            # A worker that dies while it hands over a batch is met as a broken pipe.
            for worker in getattr(batches, "_workers", []):
                worker.join(1)
                if worker.exitcode:
                    raise RuntimeError(
                        f"DataLoader worker (pid {worker.pid}) ended with status {worker.exitcode}"
                    ) from error
            raise


def _live_on(worker: int) -> None:
    signal.signal(signal.SIGTERM, lambda *_: signal.alarm(LAST_SECONDS))


class RankBatches(Sampler[list[tuple[int, int]]]):
    """Every ``world``-th full batch of an epoch, from batch ``start`` of this process on.

    Args:
        order: The samples of the epoch.
        size: Samples in a batch.
        start: How many batches of this process to leave out.
        rank: Number of this process.
        world: Number of processes; samples that do not fill a batch for each are left out.
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
    split: Split,
    size: int,
    epoch: int,
    start: int = 0,
    rank: int = 0,
    world: int = 1,
    workers: int = 0,
    pin_memory: bool = False,
) -> BatchLoader:
    """Shuffled full batches of one epoch, for one process.

    The batches depend on the split's seed, ``epoch``, ``size`` and ``world``; not on ``workers``,
    and those from ``start`` on are the same as without ``start``.

    Args:
        split: A training split.
        size: Samples per batch and process.
        epoch: Which epoch, from 0.
        start: How many batches of this process to leave out at the beginning.
        rank: Number of this process.
        world: Number of processes.
        workers: Worker processes that make samples; 0: this one does.
        pin_memory: For copies to a GPU.

    Raises:
        UserError: There are fewer samples than one batch for every process.
    """
    common = {"num_workers": workers, "pin_memory": pin_memory}
    if isinstance(split, StreamedSplit):
        batches = split.batches(size, epoch, start, rank, world, workers)
        return BatchLoader(batches, batch_size=None, **common)
    if len(split) < size * world:
        raise UserError(
            f"{len(split)} training samples do not fill a batch of {size} on {world} process(es); "
            f"make the batch smaller"
        )
    order = EpochSampler(len(split), split.seed, epoch)
    batches = RankBatches(order, size, start, rank, world)
    return _loader(split, batch_sampler=batches, **common)


def evaluation_batches(
    split: Split,
    size: int,
    workers: int = 0,
    pin_memory: bool = False,
    only: Sequence[int] | None = None,
    rank: int = 0,
    world: int = 1,
) -> BatchLoader:
    """All samples of a split once, in order; the last batch may be smaller.

    Of several processes each gets every ``world``-th batch, some of them perhaps one less.

    Args:
        split: As evaluation sees it.
        size: Samples in a batch.
        workers: Worker processes that make samples.
        pin_memory: For copies to a GPU.
        only: Numbers of the samples to take, in that order; for splits that are addressed.
        rank: Number of this process.
        world: Number of processes.
    """
    common = {"num_workers": workers, "pin_memory": pin_memory}
    if isinstance(split, StreamedSplit):
        batches = split.batches(size, rank=rank, world=world, workers=workers)
        return BatchLoader(batches, batch_size=None, **common)
    numbers = range(len(split)) if only is None else only
    firsts = range(rank * size, len(numbers), world * size)
    batches = [numbers[first : first + size] for first in firsts]
    return _loader(split, batch_sampler=batches, **common)


def _loader(split: AddressedSplit, **options: Any) -> BatchLoader:
    dataset: Any = split  # a Dataset by its methods, whatever its class
    return BatchLoader(dataset, collate_fn=getattr(split, "collate", None), **options)
