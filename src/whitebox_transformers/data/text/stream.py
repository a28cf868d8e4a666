"""Text that is tokenised while it passes by: whole batches, the same for any number of workers."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count

from torch.utils.data import IterableDataset, default_collate, get_worker_info

from whitebox_transformers.data.protocol import Sample
from whitebox_transformers.data.seeding import seed_of, shuffled
from whitebox_transformers.data.text.config import TextDataConfig
from whitebox_transformers.data.text.documents import DocumentSource, Text, read
from whitebox_transformers.data.text.encode import Encoded, Encoder
from whitebox_transformers.data.text.lanes import Lane, assign
from whitebox_transformers.data.text.samples import Samples
from whitebox_transformers.errors import UserError

logger = logging.getLogger(__name__)

# Characters that a thread tokenises at once, and pieces of that size made ahead by each thread.
PIECE = 1 << 17
AHEAD = 2


@dataclass
class TextStream:
    """A training split in passing. It has no end: another order of the documents follows."""

    source: DocumentSource
    """Documents that can be read."""
    encoder: Encoder
    samples: Samples
    separator: int
    """Id of the token that ends a document."""
    data: TextDataConfig
    seed: int

    def batches(
        self,
        size: int,
        epoch: int = 0,
        start: int = 0,
        rank: int = 0,
        world: int = 1,
        workers: int = 0,
    ) -> TextBatches:
        """Batches for one process; arguments as of :class:`TextBatches`."""
        return TextBatches(self, size, epoch, start, rank, world, workers)

    def texts(self, epoch: int) -> Iterator[Text]:
        """All documents that hold something, time and again, each time in another order.

        Raises:
            UserError: There is none, or too many are broken.
        """
        for turn in count():
            order = seed_of("order", self.seed, epoch, turn)
            held = shuffled(self.source.documents(order), self.data.shuffle_buffer, order)
            several = False
            for text in map(read, held):
                if not text.is_nothing:
                    several = True
                    yield text
            if not several:
                raise UserError(f"the training split of {self.data.where} holds no text")

    @property
    def first_position(self) -> int:
        """Position of a document's first token, where samples have positions of that kind."""
        return self.samples.first_position  # pyright: ignore[reportAttributeAccessIssue]

    @first_position.setter
    def first_position(self, position: int) -> None:
        self.samples.first_position = position  # pyright: ignore[reportAttributeAccessIssue]


class TextBatches(IterableDataset[Sample]):
    """Batches of a stream, from batch ``start`` on.

    Sample ``j`` of the batch that all processes together make is the next stretch of lane ``j``
    among ``size * world``: so the batch does not depend on how many processes share it, and each
    tokenises its own lanes only. Of the loader's workers the first makes all batches, with as many
    threads as there are workers; the others have nothing to do.

    Batches before ``start`` are tokenised, and thrown away: what a lane holds depends on them.

    Args:
        stream: The split.
        size: Samples in a batch of one process.
        epoch: Decides on order and everything random.
        start: How many batches of this process to leave out at the beginning.
        rank: Number of this process; it gets lanes ``rank * size ..``.
        world: Number of processes.
        workers: Worker processes of the loader.
    """

    def __init__(
        self,
        stream: TextStream,
        size: int,
        epoch: int = 0,
        start: int = 0,
        rank: int = 0,
        world: int = 1,
        workers: int = 0,
    ) -> None:
        self.stream = stream
        self.epoch, self.start = epoch, start
        self.lanes = size * world
        self.mine = range(rank * size, (rank + 1) * size)
        self.threads = max(1, workers)

    def __iter__(self) -> Iterator[Sample]:
        info = get_worker_info()
        if info is not None and info.id > 0:
            return
        stream = self.stream
        samples = stream.samples
        lanes = {number: Lane(samples.size, samples.lead, stream.separator) for number in self.mine}
        encoded = self._encoded()
        for step in count():
            for lane in lanes.values():
                while not lane.is_ready:
                    number, document = next(encoded)
                    lanes[number].add(document)
            stretches = {number: lane.take() for number, lane in lanes.items()}
            if step >= self.start:
                yield default_collate([
                    samples(stretch, seed_of("mask", stream.seed, self.epoch, number, step))
                    for number, stretch in stretches.items()
                ])  # fmt: skip

    def _encoded(self) -> Iterator[tuple[int, Encoded]]:
        """This process's documents with their lanes, tokenised by threads, in order."""
        encoder = self.stream.encoder
        with ThreadPoolExecutor(self.threads, "tokenising") as pool:
            waiting: deque[tuple[list[int], Future[list[Encoded]]]] = deque()
            for lanes, texts in self._pieces():
                waiting.append((lanes, pool.submit(lambda part: [*encoder.encode(part)], texts)))
                if len(waiting) >= AHEAD * self.threads:
                    lanes, future = waiting.popleft()
                    yield from zip(lanes, future.result(), strict=True)

    def _pieces(self) -> Iterator[tuple[list[int], list[Text]]]:
        lanes: list[int] = []
        texts: list[Text] = []
        size = 0
        for lane, text in assign(self.stream.texts(self.epoch), self.lanes):
            if lane in self.mine:
                lanes.append(lane)
                texts.append(text)
                size += len(text.text)
            if size >= PIECE:
                yield lanes, texts
                lanes, texts, size = [], [], 0
