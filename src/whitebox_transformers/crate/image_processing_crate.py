"""From any image to the tensor a CRATE model reads; training, pipelines and prediction share it.

The steps: stand upright (EXIF), reduce to 1 or 3 channels of 8 bits, resize, cut out the centre,
rescale, normalise. All geometry is Pillow's, so results do not depend on whether torchvision is
installed. Shapes: C channels, H height, W width.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers.image_processing_backends import PilBackend
from transformers.image_processing_base import BatchFeature
from transformers.image_utils import ChannelDimension, ImageInput, SizeDict
from transformers.processing_utils import ImagesKwargs

from .image_modes import image_of_array, to_channels, upright

if TYPE_CHECKING:
    from PIL.Image import Image

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
PIL_BILINEAR = 2
# A resized image that is to be cropped keeps at most this many crop lengths along its longer side:
# a picture of 1 x 10,000 pixels would otherwise grow to 224 x 2,240,000.
LONGEST_IN_CROPS = 64


class CrateImageProcessorKwargs(ImagesKwargs, total=False):
    """The usual image options and the number of channels the model reads (1 or 3)."""

    num_channels: int | None


class CrateImageProcessor(PilBackend):
    """Preprocessing for every CRATE vision model; called as ``processor(images)``.

    Images may be Pillow images of any mode, arrays or tensors. Transparent pixels become white,
    16-bit values are divided by 257, CMYK and palettes become RGB. Floating point arrays hold
    values in [0, 1]. Colour becomes grey by ITU-R 601 luma if ``num_channels`` is 1.

    ``transformers.pipeline`` makes every image RGB before it comes here: transparency is gone by
    then, and 16-bit values above 255 are white. Give it ``processor.prepare(image)`` instead.

    ``size`` is ``{"height", "width"}`` (both sides scaled apart) or ``{"shortest_edge"}``: then
    the image is scaled until it covers a box in the shape of ``crop_size`` whose shorter side is
    ``shortest_edge``; for square crops that is the shorter edge itself.

    Returns:
        ``pixel_values``: (B, C, H, W) float32 with ``return_tensors="pt"``.

    Raises:
        ValueError: An image of 32-bit floats, values out of range, or a setting that cannot be.
    """

    valid_kwargs = CrateImageProcessorKwargs
    do_resize = True
    size = SizeDict(shortest_edge=256)
    default_to_square = False
    resample = PIL_BILINEAR
    do_center_crop = True
    crop_size = SizeDict(height=224, width=224)
    do_rescale = True
    do_normalize = True
    image_mean = IMAGENET_MEAN
    image_std = IMAGENET_STD
    num_channels = 3

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if self.num_channels not in (1, 3):
            raise ValueError(
                f"num_channels={self.num_channels}: images are prepared with 1 (grey) or 3 (RGB)"
            )
        for name in ("image_mean", "image_std"):
            values = np.atleast_1d(getattr(self, name))
            if len(values) not in (1, self.num_channels):
                raise ValueError(
                    f"{name} has {len(values)} values but num_channels={self.num_channels}; "
                    f"give one value for each channel"
                )

    @property
    def output_size(self) -> tuple[int, int]:
        """Height and width of every output, in pixels.

        Raises:
            ValueError: The settings leave the size to the image.
        """
        box = self.crop_size if self.do_center_crop else self.size
        if not (self.do_center_crop or self.do_resize) or not (box.height and box.width):
            raise ValueError(f"size={dict(self.size)} without a crop leaves images of any size")
        return box.height, box.width

    def prepare(self, image: Image) -> Image:
        """Upright, and of mode ``L`` or ``RGB``; the size stays as it is."""
        return to_channels(upright(image), self.num_channels)

    def fit(self, image: Image) -> Image:
        """Resize and crop a prepared image as the settings say."""
        if self.do_resize:
            crop = self.crop_size if self.do_center_crop else None
            image = resize(image, self.size, crop, self.resample)
        return centre_crop(image, self.crop_size) if self.do_center_crop else image

    def to_values(self, pixels: np.ndarray) -> np.ndarray:
        """Rescale and normalise pixels (..., C, H, W) uint8 to float32, as the settings say."""
        factor = self.rescale_factor if self.do_rescale else 1.0
        if not self.do_normalize:
            return normalise(pixels, factor, 0.0, 1.0)
        return normalise(pixels, factor, self.image_mean, self.image_std)

    def to_dict(self) -> dict[str, Any]:
        # ``pipeline`` also looks for a video processor, takes the code shipped for this class for
        # one, and would stop to ask whether to run it; a type that does not exist prevents that.
        return {**super().to_dict(), "video_processor_type": "none"}

    def _prepare_images_structure(self, images: ImageInput, expected_ndims: int = 3) -> ImageInput:
        # The base class takes no arrays of shape (H, W).
        listed = images if isinstance(images, list | tuple) else [images]
        if all(isinstance(i, np.ndarray | torch.Tensor) and i.ndim == 2 for i in listed):
            images = [image_of_array(np.asarray(image)) for image in listed]
        return super()._prepare_images_structure(images, expected_ndims)

    def process_image(
        self,
        image: Image | np.ndarray | torch.Tensor,
        num_channels: int | None = None,
        input_data_format: str | ChannelDimension | None = None,
        **kwargs: Any,
    ) -> Image:
        """One image of any kind, upright, of mode ``L`` or ``RGB``."""
        if isinstance(image, torch.Tensor):
            image = image.detach().cpu().numpy()
        if isinstance(image, np.ndarray):
            image = image_of_array(image, input_data_format)
        return to_channels(upright(image), num_channels or self.num_channels)

    def _preprocess(
        self,
        images: list[Image],
        do_resize: bool,
        size: SizeDict,
        resample: int,
        do_center_crop: bool,
        crop_size: SizeDict,
        do_rescale: bool,
        rescale_factor: float,
        do_normalize: bool,
        image_mean: float | tuple[float, ...],
        image_std: float | tuple[float, ...],
        return_tensors: str | None = None,
        **kwargs: Any,
    ) -> BatchFeature:
        values = []
        for image in images:
            if do_resize:
                image = resize(image, size, crop_size if do_center_crop else None, resample)
            if do_center_crop:
                image = centre_crop(image, crop_size)
            factor = rescale_factor if do_rescale else 1.0
            mean, std = (image_mean, image_std) if do_normalize else (0.0, 1.0)
            values.append(normalise(channels_first(image), factor, mean, std))
        return BatchFeature(data={"pixel_values": values}, tensor_type=return_tensors)


def resize(image: Image, size: SizeDict, crop: SizeDict | None, resample: int) -> Image:
    """Scale to ``size``; see the class for its two forms. ``crop`` is what follows, if anything."""
    if size.height and size.width:
        return image.resize((size.width, size.height), resample)
    if not size.shortest_edge:
        raise ValueError(f"size={dict(size)}: give height and width, or shortest_edge")
    height, width = _sides(crop) if crop else (1, 1)
    scale = size.shortest_edge / min(height, width)
    box = math.ceil(height * scale), math.ceil(width * scale)
    if crop:
        image = _cut_excess(image, box)
    return image.resize(_covering(image, box), resample)


def _covering(image: Image, box: tuple[int, int]) -> tuple[int, int]:
    """Width and height of ``image`` scaled, aspect kept, so that it just covers ``box`` (H, W)."""
    height, width = box
    if image.width * height >= image.height * width:
        return max(int(image.width * height / image.height), width), height
    return width, max(int(image.height * width / image.width), height)


def _cut_excess(image: Image, box: tuple[int, int]) -> Image:
    """Keep the centre of images so long that scaling them to ``box`` would fill the memory."""
    longest = LONGEST_IN_CROPS * max(box)
    width, height = _covering(image, box)
    if max(width, height) <= longest:
        return image
    keep_width = math.ceil(image.width * min(1.0, longest / width))
    keep_height = math.ceil(image.height * min(1.0, longest / height))
    return _cut(image, keep_height, keep_width)


def centre_crop(image: Image, size: SizeDict) -> Image:
    """The central ``size`` of an image; black around images that are smaller."""
    return _cut(image, *_sides(size))


def _sides(crop: SizeDict) -> tuple[int, int]:
    if not (crop.height and crop.width):
        raise ValueError(f"crop_size={dict(crop)}: give height and width")
    return crop.height, crop.width


def _cut(image: Image, height: int, width: int) -> Image:
    top, left = (image.height - height) // 2, (image.width - width) // 2
    return image.crop((left, top, left + width, top + height))


def channels_first(image: Image) -> np.ndarray:
    """Pixels (C, H, W) uint8 of a prepared image."""
    shape = (image.height, image.width, len(image.getbands()))
    return np.frombuffer(image.tobytes(), dtype=np.uint8).reshape(shape).transpose(2, 0, 1)


def normalise(
    pixels: np.ndarray,
    factor: float,
    mean: float | tuple[float, ...],
    std: float | tuple[float, ...],
) -> np.ndarray:
    """``(pixels * factor - mean) / std`` of (..., C, H, W) in one pass, float32, contiguous."""
    shift = np.asarray(mean, dtype=np.float64).reshape(-1, 1, 1)
    scale = np.asarray(std, dtype=np.float64).reshape(-1, 1, 1)
    values = np.multiply(pixels, (factor / scale).astype(np.float32), dtype=np.float32, order="C")
    values -= (shift / scale).astype(np.float32)
    return values


__all__ = ["CrateImageProcessor"]
