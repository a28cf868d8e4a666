"""Any image upright, in 8 bits, with one channel or three.

Shapes: C channels, H height, W width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from transformers.image_utils import ChannelDimension, infer_channel_dimension_format

if TYPE_CHECKING:
    from PIL.Image import Image

SIXTEEN_BIT_MODES = ("I", "I;16", "I;16L", "I;16B", "I;16N")


def upright(image: Image) -> Image:
    """Apply the EXIF orientation, if there is one."""
    from PIL import ImageOps

    return ImageOps.exif_transpose(image)


def to_channels(image: Image, num_channels: int) -> Image:
    """Convert any mode to ``L`` (one channel) or ``RGB`` (three).

    Raises:
        ValueError: The image holds 32-bit floats, whose range is unknown, or a mode that Pillow
            cannot convert.
    """
    target = "L" if num_channels == 1 else "RGB"
    if image.mode == target and "transparency" not in image.info:
        return image
    if image.mode in SIXTEEN_BIT_MODES:
        image = _eight_bit(np.asarray(image))
    elif image.mode == "F":
        raise ValueError("an image of 32-bit floats has no known range; save it with 8 or 16 bits")
    elif "transparency" in image.info or image.mode in ("RGBA", "RGBa", "LA", "La", "PA"):
        image = _on_white(image)
    elif image.mode not in ("1", "L", "RGB"):
        image = image.convert("RGB")
    return image.convert(target)


def _eight_bit(values: np.ndarray) -> Image:
    """Sixteen-bit grey values (H, W) to 8 bits: 0 stays 0 and 65535 becomes 255."""
    from PIL import Image

    values = values.astype(np.int64).clip(0, 65535)
    return Image.fromarray(((values + 128) // 257).astype(np.uint8))


def _on_white(image: Image) -> Image:
    from PIL import Image

    image = image.convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")


def image_of_array(array: np.ndarray, layout: str | ChannelDimension | None = None) -> Image:
    """An array (H, W), (H, W, C) or (C, H, W) with C in 1, 3, 4 as a Pillow image.

    Raises:
        ValueError: Floating point values outside [0, 1], or an unsuitable type or shape.
    """
    from PIL import Image

    if array.ndim == 3:
        layout = layout or infer_channel_dimension_format(array, num_channels=(1, 3, 4))
        if ChannelDimension(layout) == ChannelDimension.FIRST:
            array = np.moveaxis(array, 0, -1)
        array = array[..., 0] if array.shape[-1] == 1 else array
    if array.dtype == np.bool_:
        array = array * np.uint8(255)
    elif np.issubdtype(array.dtype, np.floating):
        # The comparison is written so that NaN fails it.
        if not (array.min() >= 0 and array.max() <= 1):
            raise ValueError(
                f"a floating point image must lie in [0, 1], found [{array.min()}, {array.max()}]; "
                f"divide it by its range or pass 8-bit integers"
            )
        array = np.round(array.astype(np.float64) * 255).astype(np.uint8)
    elif array.dtype == np.uint16:
        array = ((array.astype(np.int64) + 128) // 257).astype(np.uint8)
    elif array.dtype != np.uint8:
        if array.min() < 0 or array.max() > 255:
            raise ValueError(
                f"an image of {array.dtype} must lie in [0, 255], found "
                f"[{array.min()}, {array.max()}]; pass uint8 or uint16"
            )
        array = array.astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(array))


__all__ = ["image_of_array", "to_channels", "upright"]
