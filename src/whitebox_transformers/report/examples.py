"""The few images that a report shows one by one: user's files, or some of the validation set."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from whitebox_transformers.crate.image_processing_crate import CrateImageProcessor
from whitebox_transformers.data.build import ImageData
from whitebox_transformers.data.dataset import ImageDataset
from whitebox_transformers.data.images import file_as_read
from whitebox_transformers.data.loading import evaluation_batches
from whitebox_transformers.data.records import BadImage
from whitebox_transformers.errors import UserError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Example:
    """One image as the model reads it: ``pixel_values`` (1, C, H, W), and its class if known."""

    name: str
    pixel_values: torch.Tensor
    truth: str | None = None


def examples_from_files(
    paths: Sequence[str | Path], processor: CrateImageProcessor
) -> tuple[list[Example], list[str]]:
    """Read image files; those that cannot be used are named in the second list, with the reason.

    Raises:
        UserError: No file can be used.
    """
    examples, left_out = [], []
    for path in paths:
        try:
            examples.append(Example(Path(path).name, file_as_read(path, processor)))
        except BadImage as error:
            left_out.append(str(error))
            logger.warning("left out: %s", error)
    if not examples:
        raise UserError(f"none of the images can be used: {'; '.join(left_out)}")
    return examples, left_out


def examples_from_validation(data: ImageData, count: int, seed: int) -> list[Example]:
    """A few validation images, drawn with ``seed``; of a stream the first ones."""
    split = data.validation
    if isinstance(split, ImageDataset):
        order = torch.randperm(len(split), generator=torch.Generator().manual_seed(seed))
        chosen = order[:count].tolist()
        names = without_common_folder([split.name(i) for i in chosen])
        samples: Iterable = (
            (f"validation: {name}", split[i]) for name, i in zip(names, chosen, strict=True)
        )
    else:
        batch = next(iter(evaluation_batches(split, count)))
        samples = (
            (f"validation: image {index}", {key: values[index] for key, values in batch.items()})
            for index in range(len(batch["pixel_values"]))
        )
    return [
        Example(
            name,
            sample["pixel_values"][None],
            data.labels[int(sample["labels"])] if "labels" in sample else None,
        )
        for name, sample in islice(samples, count)
    ]


def without_common_folder(names: Sequence[str]) -> list[str]:
    """Paths without the folder that all of them share, of which a page need not tell.

    Names that are no paths, such as ``digits train image 3``, stay as they are.
    """
    folders = [os.path.dirname(name) for name in names]
    if not all(folders):
        return list(names)
    return [os.path.relpath(name, os.path.commonpath(folders)) for name in names]


def picture_of(pixel_values: torch.Tensor, processor: CrateImageProcessor) -> np.ndarray:
    """An image (1, C, H, W) with normalisation undone: uint8 (height, width, 3)."""
    values = pixel_values[0].float().cpu().numpy()  # (C, H, W)
    if processor.do_normalize:
        mean = np.reshape(processor.image_mean, (-1, 1, 1))
        values = values * np.reshape(processor.image_std, (-1, 1, 1)) + mean
    if processor.do_rescale:
        values = values / (255 * processor.rescale_factor)
    pixels = np.round(255 * values.clip(0, 1)).astype(np.uint8)
    return np.broadcast_to(np.moveaxis(pixels, 0, -1), (*pixels.shape[1:], 3)).copy()
