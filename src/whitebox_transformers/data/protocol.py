"""What a split is, whatever it holds: the two shapes that loaders, trainer and measurements know.

Every split is one of both. What it yields are dictionaries of tensors, by the names of the model's
arguments; ``labels`` is what is to be learned.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from torch.utils.data import IterableDataset

Sample = dict[str, Any]


@runtime_checkable
class AddressedSplit(Protocol):
    """Samples by number.

    In training a sample is asked for by ``(epoch, index)`` and is a function of that key and of
    ``seed`` alone, whoever asks and whenever. In evaluation it is asked for by ``index``.

    A split whose samples are not simply stacked to a batch has a method ``collate`` as well, from
    a list of samples to a batch.
    """

    seed: int

    def __len__(self) -> int: ...

    def __getitem__(self, key: Any, /) -> Sample: ...


@runtime_checkable
class StreamedSplit(Protocol):
    """Whole batches in passing, for data that do not fit in memory."""

    def batches(
        self,
        size: int,
        epoch: int = 0,
        start: int = 0,
        rank: int = 0,
        world: int = 1,
        workers: int = 0,
    ) -> IterableDataset:
        """Batches of one epoch for one process, the same for any number of workers.

        Args:
            size: Samples in a batch.
            epoch: Decides on order and everything random.
            start: How many batches of this process to leave out at the beginning; the others stay
                the same.
            rank: Number of this process among ``world``; it gets every ``world``-th batch.
            world: Number of processes.
            workers: Worker processes of the loader.
        """
        ...


Split = AddressedSplit | StreamedSplit


class Splits(Protocol):
    """What a run sees."""

    @property
    def train(self) -> Split:
        """With everything random that training wants."""
        ...

    @property
    def train_plain(self) -> Split:
        """The training samples as evaluation sees them, for measurements."""
        ...

    @property
    def validation(self) -> Split: ...

    @property
    def test(self) -> Split | None:
        """``None`` where nothing was set apart for a test."""
        ...


def length_of(split: Split) -> int | None:
    """Number of samples, or ``None`` where only a pass over the data would tell."""
    return None if isinstance(split, StreamedSplit) else len(split)
