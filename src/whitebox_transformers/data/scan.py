"""Look at every image before training: name the broken ones, keep the decoded ones if they fit."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from tqdm.auto import tqdm

from whitebox_transformers.data.images import DecodedImages, Images, Stage
from whitebox_transformers.data.records import BadImage, ImageSource

CHUNK = 64


@dataclass
class Scan:
    """What was found in one split."""

    good: torch.Tensor
    """(images,) int64: numbers of the usable images."""
    bad: list[BadImage]
    decoded: DecodedImages | None
    """Pixels of the usable images, if they fit."""


def scan(images: Images, stage: Stage, budget: int, title: str) -> Scan:
    """Decode every image in full, with threads: decoders release the interpreter's lock.

    Args:
        images: The split.
        stage: Which form of the decoded images to keep.
        budget: How many bytes of them may be kept; beyond it none are.
        title: Label of the progress bar.
    """
    kept: list[np.ndarray] | None = []
    good, bad, size = [], [], 0

    def look(chunk: range) -> list[np.ndarray | BadImage | None]:
        return [_pixels_or_fault(images, index, stage, kept is not None) for index in chunk]

    chunks = [range(i, min(i + CHUNK, len(images.source))) for i in
              range(0, len(images.source), CHUNK)]  # fmt: skip
    with ThreadPoolExecutor(_usable_cores()) as pool, _bar(images.source, title) as bar:
        for chunk, results in zip(chunks, pool.map(look, chunks), strict=True):
            for index, result in zip(chunk, results, strict=True):
                if isinstance(result, BadImage):
                    bad.append(result)
                    continue
                good.append(index)
                size += 0 if result is None else result.size
                if kept is not None and result is not None and size <= budget:
                    kept.append(result)
                else:
                    kept = None
            bar.update(len(chunk))
    decoded = None if kept is None else DecodedImages(kept, stage)
    return Scan(torch.tensor(good, dtype=torch.int64), bad, decoded)


def wrong_labels(source: ImageSource, classes: int) -> list[int]:
    """Numbers of the images whose label is not in ``range(classes)``."""
    wrong = (source.labels < 0) | (source.labels >= classes)
    return wrong.nonzero().flatten().tolist()


def _pixels_or_fault(
    images: Images, index: int, stage: Stage, keep: bool
) -> np.ndarray | BadImage | None:
    try:
        image = images.read(index, stage)
    except BadImage as fault:
        return fault
    return np.asarray(image) if keep else None


def _bar(source: ImageSource, title: str) -> tqdm:
    return tqdm(total=len(source), desc=title, unit="image", leave=False, delay=1.0,
                mininterval=0.5)  # fmt: skip


def _usable_cores() -> int:
    try:
        return min(16, len(os.sched_getaffinity(0)))
    except AttributeError:
        return min(16, os.cpu_count() or 1)
