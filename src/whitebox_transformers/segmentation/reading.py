"""Images as models without a fixed resolution read them.

Legend: C channels, H height, W width in pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from whitebox_transformers.crate.image_modes import to_channels, upright
from whitebox_transformers.data.folder import SUFFIXES
from whitebox_transformers.data.location import files_below
from whitebox_transformers.data.records import BadImage, Record, decode
from whitebox_transformers.errors import UserError
from whitebox_transformers.extras import require
from whitebox_transformers.segmentation.encoder import ImageEncoder

if TYPE_CHECKING:
    from PIL.Image import Image

RESOLUTION = 480
MOST_PATCHES_BY_DEFAULT = 60
"""Along a side: 480 pixels at the paper's patch of 8."""
MOST_PIXELS = 80_000_000
LONGEST_SHAPE = 8
"""Longer images, such as panoramas, would lose their shape, or most of their patches."""


@dataclass(frozen=True)
class Reading:
    """How images are read.

    Attributes:
        resolution: Side in pixels of the square that is read; ``None``: 480, or 60 patches if that
            is less.
        keep_shape: Read as many patches as the square has, in the image's own shape, instead of
            squeezing it into the square as CutLER does.
        max_pixels: Images with more pixels are refused, before they are decoded.
        longest: Images whose longer side is more than so many times the shorter are refused.
    """

    resolution: int | None = None
    keep_shape: bool = False
    max_pixels: int = MOST_PIXELS
    longest: float = LONGEST_SHAPE

    def __post_init__(self) -> None:
        for name in ("resolution", "max_pixels", "longest"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"{name}={value} must be at least 1")


@dataclass(frozen=True)
class ImageRead:
    """One image, as it is and as the model reads it.

    Attributes:
        path: Its file.
        image: Upright, ``RGB`` or ``L``, in its own size.
        pixel_values: (1, C, H, W) for the model.
    """

    path: Path
    image: Image
    pixel_values: Tensor

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the image."""
        return self.image.height, self.image.width

    @property
    def read(self) -> tuple[int, int]:
        """Height and width at which the model reads it."""
        height, width = self.pixel_values.shape[-2:]
        return height, width


def image_files(paths: Sequence[str | Path]) -> list[Path]:
    """The files named, and the image files below the folders named, in order, each once.

    Raises:
        UserError: Nothing is named, or there is no such file, or no image in a folder.
    """
    if not paths:
        raise UserError("no image is named; give image files or folders")
    found: list[Path] = []
    for given in paths:
        path = Path(given).expanduser()
        if path.is_dir():
            below = [file for file in files_below(path) if file.suffix.lower() in SUFFIXES]
            if not below:
                raise UserError(f"{given} holds no image; give image files or a folder with some")
            found += below
        else:
            found.append(path)  # whether it can be read is found out when it is its turn
    if not any(path.exists() for path in found):
        raise UserError(f"{paths[0]} does not exist; give image files or folders")
    return list(dict.fromkeys(found))


def read_image(path: Path, encoder: ImageEncoder, reading: Reading) -> ImageRead:
    """Decode an image and bring it to the size that is read.

    Raises:
        BadImage: It cannot be read, or is larger or longer than the limits; says what to do.
    """

    def prepare(image: Image) -> Image:
        return to_channels(upright(image), encoder.channels)

    record = Record(str(path), -1, path)
    image = decode(record, prepare, reading.max_pixels, "--max-pixels")
    long, short = max(image.size), min(image.size)
    if long > reading.longest * short:
        raise BadImage(
            str(path),
            f"{image.width} x {image.height} pixels are longer than {reading.longest:g} to 1; "
            "cut it into pieces or raise --longest",
        )
    return as_read(path, image, encoder, reading)


def as_read(path: Path, image: Image, encoder: ImageEncoder, reading: Reading) -> ImageRead:
    """A decoded image at the size that is read."""
    height, width = input_size((image.height, image.width), encoder.patch, reading)
    lanczos = require("PIL.Image", extra="analysis").Resampling.LANCZOS
    return ImageRead(path, image, encoder.pixel_values(image.resize((width, height), lanczos)))


def input_size(size: tuple[int, int], patch: tuple[int, int], reading: Reading) -> tuple[int, int]:
    """Height and width at which an image of ``size`` is read: whole patches, at least one each."""
    side = reading.resolution or min(RESOLUTION, MOST_PATCHES_BY_DEFAULT * min(patch))
    sides: Iterable[float] = (side, side)
    if reading.keep_shape:
        height, width = size
        sides = (side * (height / width) ** 0.5, side * (width / height) ** 0.5)
    tall, wide = (max(round(s / p), 1) * p for s, p in zip(sides, patch, strict=True))
    return tall, wide
