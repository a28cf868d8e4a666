"""One labelled image as it lies in its source, and how it is decoded."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

import torch

from whitebox_transformers.data.faults import Fault
from whitebox_transformers.extras import require

if TYPE_CHECKING:
    from PIL.Image import Image


class Record(NamedTuple):
    """A label and what is needed to decode its image."""

    name: str
    """What to call it in messages: a path, or a file and a row."""
    label: int
    content: bytes | Path | Image | None


class ImageSource(Protocol):
    """Labelled images that can be addressed by number."""

    labels: torch.Tensor
    """(images,) int64."""

    def record(self, index: int) -> Record: ...

    def __len__(self) -> int: ...


class RecordStream(Protocol):
    """Labelled images in passing, in an order that ``seed`` decides; None: as they lie."""

    def records(self, seed: int | None) -> Iterator[Record]: ...


Splits = dict[str, ImageSource] | dict[str, RecordStream]
"""By role; streams exactly if ``data.streaming`` asks for them."""


class BadImage(Fault):
    """An image that cannot be used; says which and why."""


def decode(
    record: Record,
    prepare: Callable[[Image], Image],
    max_pixels: int,
    limit: str | None = "data.max_pixels",
) -> Image:
    """Read, decode in full and ``prepare`` an image.

    Args:
        record: Where it lies.
        prepare: What is done to it, e.g. to its channels.
        max_pixels: The most that are decoded.
        limit: By what people raise it; ``None`` where they cannot.

    Raises:
        BadImage: It cannot be read, is no image, is truncated or corrupt, or has more than
            ``max_pixels`` pixels (which is found out before decoding).
    """
    pil = require("PIL.Image", extra="train")
    try:
        image = record.content
        if image is None or isinstance(image, bytes | Path):
            image = pil.open(io.BytesIO(_encoded(image)))
        if image.width * image.height > max_pixels:
            raise ValueError(
                f"{image.width} x {image.height} pixels are more than the limit {max_pixels}; "
                f"scale it down{f' or raise {limit}' if limit else ''}"
            )
        image.load()
        return prepare(image)
    # Pillow's decoders raise whatever they stumble on: OSError, SyntaxError, struct.error,
    # zlib.error, IndexError, DecompressionBombError ...
    except Exception as error:
        raise BadImage(record.name, _reason(error)) from error


def _encoded(content: bytes | Path | None) -> bytes:
    encoded = content.read_bytes() if isinstance(content, Path) else content
    if not encoded:
        raise ValueError("the image is empty (0 bytes)")
    return encoded


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if type(error).__name__ == "UnidentifiedImageError":
        return "not an image that Pillow knows"
    if type(error).__name__.startswith("DecompressionBomb"):
        return "more pixels than Pillow opens (179 million), whatever the limit here; scale it down"
    return str(error) or type(error).__name__
