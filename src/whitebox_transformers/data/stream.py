"""Images read in passing, for sets that do not fit: whole batches, the same for any workers."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

import torch
from torch.utils.data import IterableDataset, default_collate, get_worker_info

from whitebox_transformers.crate.image_processing_crate import CrateImageProcessor
from whitebox_transformers.data.augment import Mixing, View
from whitebox_transformers.data.config import DataConfig
from whitebox_transformers.data.dataset import Beside
from whitebox_transformers.data.faults import FEWEST_JUDGED, judge_passing
from whitebox_transformers.data.protocol import Sample
from whitebox_transformers.data.records import BadImage, Record, RecordStream, decode
from whitebox_transformers.data.seeding import seed_of, seeded, share_of, shuffled

logger = logging.getLogger(__name__)

Batch = dict[str, torch.Tensor]


class CarvedStream:
    """The part of a stream that a share carves out, or the rest; decided by each image's name."""

    def __init__(self, stream: RecordStream, low: float, high: float, seed: int) -> None:
        self.stream = stream
        self.low, self.high, self.seed = low, high, seed

    def records(self, seed: int | None) -> Iterator[Record]:
        return (record for record in self.stream.records(seed) if self._holds(record))

    def _holds(self, record: Record) -> bool:
        return self.low <= share_of("carve", self.seed, record.name) < self.high


class LimitedStream:
    """A few images of a stream, drawn once: every epoch meets the same ones."""

    def __init__(self, stream: RecordStream, limit: int, seed: int) -> None:
        self.stream = stream
        self.limit, self.seed = limit, seed

    def records(self, seed: int | None) -> Iterator[Record]:
        # Not in the order asked for, by which every epoch would begin with other images.
        return islice(self.stream.records(seed_of("limit", self.seed)), self.limit)


@dataclass
class ImageStream:
    """A split of images in passing."""

    stream: RecordStream
    processor: CrateImageProcessor
    view: View
    classes: int
    data: DataConfig
    training: bool
    seed: int = 0
    mixing: Mixing | None = None
    beside: Beside | None = None

    def batches(
        self,
        size: int,
        epoch: int = 0,
        start: int = 0,
        rank: int = 0,
        world: int = 1,
        workers: int = 0,
    ) -> StreamBatches:
        """Batches of one epoch for one process; arguments as of :class:`StreamBatches`."""
        return StreamBatches(self, size, epoch, start, rank, world, workers)


class Tally:
    """How many images the workers met and how many were broken, in memory they share."""

    def __init__(self, workers: int) -> None:
        # A slot for each worker, because adding to a shared number is not atomic.
        self.counts = torch.zeros(max(1, workers), 2, dtype=torch.int64).share_memory_()

    def add(self, worker: int, met: int, broken: int) -> None:
        self.counts[worker] += torch.tensor([met, broken])

    @property
    def met(self) -> int:
        return int(self.counts[:, 0].sum())

    @property
    def broken(self) -> int:
        return int(self.counts[:, 1].sum())


class StreamBatches(IterableDataset[Batch]):
    """Batches of one epoch of a stream.

    The processes' batches of one step are ``world * size`` images that follow each other in the
    epoch's order, cut into equal parts, and an image is mixed with any of them: so a step does not
    depend on how many processes share it, nor on who decodes what. In training a broken image is
    replaced by the next ones that follow the step's, so all batches are full; in evaluation it is
    left out.

    Args:
        source: The split.
        size: Images in a batch.
        epoch: Decides on order and augmentation.
        start: How many batches of this process to leave out at the beginning.
        rank: Number of this process; it gets batches ``rank``, ``rank + world``, ...
        world: Number of processes.
        workers: Worker processes of the loader.
    """

    def __init__(
        self,
        source: ImageStream,
        size: int,
        epoch: int = 0,
        start: int = 0,
        rank: int = 0,
        world: int = 1,
        workers: int = 0,
    ) -> None:
        self.source = source
        self.size = size
        self.epoch = epoch
        self.start = start
        self.rank, self.world = rank, world
        self.tally = Tally(workers)

    def __iter__(self) -> Iterator[Batch]:
        info = get_worker_info()
        worker, workers = (info.id, info.num_workers) if info else (0, 1)
        ahead = _Lookahead(self._ordered())
        round_size = self.size * self.world
        step = 0
        while group := ahead.take(round_size):
            if self.source.training and len(group) < round_size:
                break
            first = self.rank * self.size
            if step >= self.start and (step - self.start) % workers == worker and group[first:]:
                spare = ahead.peek() if self.source.training else iter(())
                batch = self._decode(group, first, spare, worker)
                if batch is not None:
                    yield batch
            step += 1
        self._judge(self.tally.met)

    def _ordered(self) -> Iterator[Record]:
        source = self.source
        if not source.training:
            return source.stream.records(None)
        order = seed_of("order", source.seed, self.epoch)
        return shuffled(source.stream.records(order), source.data.shuffle_buffer, order)

    def _decode(
        self, group: list[Record], first: int, spare: Iterator[Record], worker: int
    ) -> Batch | None:
        """Values and labels of a batch; None if an evaluation batch holds broken images only.

        Args:
            group: The images of all processes in this step.
            first: Where those of this process begin.
            spare: The images after them.
            worker: Who counts.
        """
        source = self.source
        good, seen = [], []
        waiting = deque(group[first : first + self.size])
        while waiting:
            record = waiting.popleft()
            try:
                seen.append(self._seen(record))
                good.append(record)
                self.tally.add(worker, 1, 0)
            except BadImage as bad:
                self.tally.add(worker, 1, 1)
                logger.warning("skipped broken image %d: %s", self.tally.broken, bad)
                self._judge(max(self.tally.met, FEWEST_JUDGED), bad)
                waiting.extend(islice(spare, 1))
        if not good:
            return None
        if source.beside is not None:
            keys = [(source.seed, self.epoch, record.name) for record in good]
            more = default_collate([source.beside(key) for key in keys])
            return {**default_collate(seen), **more}
        labels = torch.tensor([record.label for record in good])
        mixing = source.mixing
        if mixing is None:
            return {**default_collate(seen), "labels": labels}
        known = {record.name: sample for record, sample in zip(good, seen, strict=True)}
        mixed = [self._mixed(mixing, record, known, group) for record in good]
        return {
            "pixel_values": torch.stack([image for image, _ in mixed]),
            "labels": torch.stack([label for _, label in mixed]),
        }

    def _seen(self, record: Record) -> Sample:
        source = self.source
        if not 0 <= record.label < source.classes:
            raise BadImage(record.name, f"label {record.label} is not in 0..{source.classes - 1}")
        image = decode(record, source.processor.prepare, source.data.max_pixels)
        if source.view.stage == "fitted":
            image = source.processor.fit(image)
        return source.view(image, (source.seed, self.epoch, record.name))

    def _mixed(
        self, mixing: Mixing, record: Record, known: dict[str, Sample], group: list[Record]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Mix with a partner of the same step: others have gone by or are yet to come."""
        own = known[record.name]["pixel_values"]
        with seeded(seed_of("mix", self.source.seed, self.epoch, record.name)):
            number = mixing.draw_partner(len(group))
            if number is None:
                return own, mixing.unmixed(torch.tensor(record.label))
            partner, other = self._first_good([*group[number:], *group[:number], record], known)
            pair = torch.stack([own, other["pixel_values"]])
            return mixing.mix(pair, torch.tensor([record.label, partner.label]))

    def _first_good(self, records: list[Record], known: dict[str, Sample]) -> tuple[Record, Sample]:
        """The first image that is not broken, of which at least one is known."""
        for record in records:
            if record.name in known:
                return record, known[record.name]
            with suppress(BadImage):  # counted by the process whose batch it is in
                return record, self._seen(record)
        raise AssertionError("the last one is known")

    def _judge(self, met: int, last: BadImage | None = None) -> None:
        """Stop if the share of broken images is above ``data.max_bad``."""
        judge_passing(self.tally.broken, met, self.source.data, "images", last)


class _Lookahead:
    """An iterator from which following records can be seen without being taken."""

    def __init__(self, records: Iterator[Record]) -> None:
        self.records = records
        self.seen: deque[Record] = deque()

    def take(self, count: int) -> list[Record]:
        taken = [self.seen.popleft() for _ in range(min(count, len(self.seen)))]
        return taken + list(islice(self.records, count - len(taken)))

    def peek(self) -> Iterator[Record]:
        position = 0
        while True:
            if position == len(self.seen):
                following = next(self.records, None)
                if following is None:
                    return
                self.seen.append(following)
            yield self.seen[position]
            position += 1
