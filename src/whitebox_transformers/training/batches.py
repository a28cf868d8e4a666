"""The training batches of a whole run, epoch after epoch, from any place on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from whitebox_transformers.data.loading import training_batches
from whitebox_transformers.data.protocol import Split
from whitebox_transformers.errors import UserError


@dataclass(frozen=True)
class Position:
    """The next batch of this process: an epoch and a number in it, both from 0."""

    epoch: int = 0
    batch: int = 0


class RunBatches:
    """An endless loader for Trainer; ``position`` always is the place of the next batch.

    Trainer sees one epoch without a length, as it does with streams. So resuming needs no skipping
    of batches, and streams, whose epochs have no known length, resume by the same rule.

    Args:
        split: The training split.
        size: Samples per batch and process.
        position: Where to begin.
        rank: Number of this process.
        world: Number of processes.
        workers: Processes that make samples.
        pin_memory: For copies to a GPU.
    """

    def __init__(
        self,
        split: Split,
        size: int,
        position: Position,
        rank: int = 0,
        world: int = 1,
        workers: int = 0,
        pin_memory: bool = False,
    ) -> None:
        self.split = split
        self.position = position
        self._size = size
        self._loading = {
            "rank": rank,
            "world": world,
            "workers": workers,
            "pin_memory": pin_memory,
        }

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        while True:
            epoch, first = self.position.epoch, self.position.batch
            loader = training_batches(self.split, self._size, epoch, first, **self._loading)
            for batch in loader:
                self.position = Position(epoch, self.position.batch + 1)
                yield batch
            if self.position == Position(epoch, 0):
                raise UserError(
                    f"epoch {epoch} has no batch of {self._size} samples; "
                    "lower train.batch_size or raise train.accumulate"
                )
            self.position = Position(epoch + 1, 0)
