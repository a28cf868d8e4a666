"""Which samples of a split are measured, the same for every table, chart and page of a run."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import torch
from tqdm import tqdm

from whitebox_transformers.data.loading import evaluation_batches
from whitebox_transformers.data.protocol import Sample, Split, length_of

MEASURED_SAMPLES = 256


def measured_batches(
    split: Split, samples: int, batch_size: int, seed: int, title: str
) -> Iterator[Sample]:
    """Batches of ``samples`` samples drawn with ``seed``, with a progress bar.

    All of them if there are fewer; of a stream, the first ones.
    """
    length, chosen = length_of(split), None
    if length is not None:
        generator = torch.Generator().manual_seed(seed)
        chosen = torch.randperm(length, generator=generator)[:samples].tolist()
        samples = len(chosen)
    loader = evaluation_batches(split, batch_size, only=chosen)
    with tqdm(total=samples, desc=title, unit="sample", leave=False) as bar:
        for batch in islice(loader, -(-samples // batch_size)):
            kept = {key: value[: samples - bar.n] for key, value in batch.items()}
            yield kept
            bar.update(len(next(iter(kept.values()))))
