"""The images of a split as Pillow images, decoded now or kept decoded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from whitebox_transformers.crate.image_processing_crate import CrateImageProcessor
from whitebox_transformers.data.config import DataConfig
from whitebox_transformers.data.packed import PackedBytes
from whitebox_transformers.data.records import BadImage, ImageSource, Record, decode
from whitebox_transformers.errors import UserError
from whitebox_transformers.extras import require

if TYPE_CHECKING:
    from PIL.Image import Image

Stage = Literal["original", "fitted"]
"""``original``: upright, one or three channels, its own size. ``fitted``: the model's size."""


class DecodedImages:
    """Pixels of a whole split in one tensor, which worker processes share."""

    def __init__(self, pixels: list[np.ndarray], stage: Stage) -> None:
        self.stage: Stage = stage
        self.pixels = PackedBytes.of(array.reshape(-1) for array in pixels)
        shapes = [array.shape if array.ndim == 3 else (*array.shape, 1) for array in pixels]
        self.shapes = torch.tensor(shapes, dtype=torch.int32).reshape(-1, 3)  # height, width, C

    def __getitem__(self, index: int) -> Image:
        height, width, channels = self.shapes[index].tolist()
        pil = require("PIL.Image", extra="train")
        mode = "L" if channels == 1 else "RGB"
        return pil.frombytes(mode, (width, height), self.pixels[index])


class Images:
    """Images by number, at the stage that is asked for.

    Args:
        source: Where they lie.
        processor: Decides on channels and size.
        max_pixels: Larger ones are refused.
        decoded: The same images, decoded before.
    """

    def __init__(
        self,
        source: ImageSource,
        processor: CrateImageProcessor,
        max_pixels: int,
        decoded: DecodedImages | None = None,
    ) -> None:
        self.source = source
        self.processor = processor
        self.max_pixels = max_pixels
        self.decoded = decoded

    def read(self, index: int, stage: Stage) -> Image:
        """Decode an image.

        Raises:
            BadImage: It cannot be used.
        """
        image = decode(self.source.record(index), self.processor.prepare, self.max_pixels)
        return self.processor.fit(image) if stage == "fitted" else image

    def at(self, index: int, stage: Stage) -> Image:
        """An image, decoded before or now.

        Raises:
            UserError: It cannot be used; possible only if the images were not scanned.
        """
        if self.decoded is not None and self.decoded.stage == stage:
            return self.decoded[index]
        if self.decoded is not None and self.decoded.stage == "original":
            return self.processor.fit(self.decoded[index])
        try:
            return self.read(index, stage)
        except BadImage as bad:
            raise UserError(
                f"broken image {bad}; mend or remove it, or find all such images before training "
                f"with data.scan=true"
            ) from bad


def file_as_read(path: str | Path, processor: CrateImageProcessor) -> torch.Tensor:
    """An image file as a model reads it, (1, C, H, W) float32.

    Raises:
        BadImage: It cannot be used.
    """
    record = Record(str(path), -1, Path(path).expanduser())
    image = decode(record, processor.prepare, DataConfig.max_pixels, limit=None)
    return processor(images=[image], return_tensors="pt")["pixel_values"]
