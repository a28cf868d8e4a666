"""Several views of one image at once, global and local, as DINO crops and alters them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from whitebox_transformers.crate.image_processing_crate import CrateImageProcessor
from whitebox_transformers.data.augment import Flip, Key, PlainView
from whitebox_transformers.data.config import check_interval, check_range
from whitebox_transformers.data.images import Stage
from whitebox_transformers.data.protocol import Sample
from whitebox_transformers.data.seeding import seed_of, seeded
from whitebox_transformers.errors import UserError
from whitebox_transformers.extras import require

if TYPE_CHECKING:
    from PIL.Image import Image

Transform = Callable[["Image"], "Image"]
SMALLEST_BLUR, LARGEST_BLUR = 0.1, 2.0
BRIGHT = 128


@dataclass
class CropsConfig:
    """Views of a training image; every draw is a function of seed, epoch and image.

    Defaults are DINO's for ImageNet.
    """

    global_crops: int = 2
    """Views in the model's size, which the teacher sees as well; two or more."""

    local_crops: int = 8
    """Smaller views, for the student alone."""

    global_scale: list[float] = field(default_factory=lambda: [0.4, 1.0])
    """Smallest and largest share of the image's area in a global view."""

    local_scale: list[float] = field(default_factory=lambda: [0.05, 0.4])
    """The same of a local view."""

    ratio: list[float] = field(default_factory=lambda: [3 / 4, 4 / 3])
    """Smallest and largest width / height of the box that is cut out."""

    local_size: int = 96
    """Height and width of a local view, a multiple of the patch."""

    flip: float = 0.5
    """Probability of a horizontal flip."""

    jitter: float = 0.8
    """Probability of a change of brightness, contrast, saturation and hue."""

    brightness: float = 0.4
    """By up to this share."""

    contrast: float = 0.4
    """By up to this share."""

    saturation: float = 0.2
    """By up to this share."""

    hue: float = 0.1
    """By up to this share of the circle of colours, 0.5 at most."""

    grey: float = 0.2
    """Probability that a view loses its colours."""

    blur: list[float] = field(default_factory=lambda: [1.0, 0.1, 0.5])
    """Probability of a Gaussian blur of the first and the other global views, and of local ones;
    its deviation is 0.1 to 2 pixels."""

    solarise: float = 0.2
    """Probability that the bright half of a global view's values is inverted; not in the first."""

    def __post_init__(self) -> None:
        if self.global_crops < 2:
            raise UserError(
                f"crops.global_crops={self.global_crops}: the student learns one view from another "
                "of the same image; set it to 2 or more"
            )
        check_range("crops.local_crops", self.local_crops, 0, math.inf)
        check_range("crops.local_size", self.local_size, 1, math.inf)
        for key, most in (("global_scale", 1.0), ("local_scale", 1.0), ("ratio", math.inf)):
            check_interval(f"crops.{key}", getattr(self, key), high=most)
        shares = ("flip", "jitter", "grey", "solarise", "brightness", "contrast", "saturation")
        for key in shares:
            check_range(f"crops.{key}", getattr(self, key), 0.0, 1.0)
        check_range("crops.hue", self.hue, 0.0, 0.5)
        if len(self.blur) != 3:
            raise UserError(f"crops.blur={self.blur} must be three probabilities")
        for value in self.blur:
            check_range("crops.blur", value, 0.0, 1.0)


class MultiCropView:
    """An image as all its views."""

    stage: Stage = "original"

    def __init__(self, processor: CrateImageProcessor, crops: CropsConfig) -> None:
        self.plain = PlainView(processor)
        whole, part = processor.output_size, (crops.local_size, crops.local_size)
        first, others, local = crops.blur
        scale = crops.global_scale
        self.whole = [_transforms(processor, crops, whole, scale, first, 0.0)]
        for _ in range(crops.global_crops - 1):
            self.whole.append(_transforms(processor, crops, whole, scale, others, crops.solarise))
        self.part = _transforms(processor, crops, part, crops.local_scale, local, 0.0)
        self.parts = crops.local_crops

    def __call__(self, image: Image, key: Key) -> Sample:
        """``pixel_values`` (G, C, H, W) and ``local_pixel_values`` (V, C, h, w), float32."""
        with seeded(seed_of("crops", *key)):
            sample = {"pixel_values": self._views(image, self.whole)}
            if self.parts:
                sample["local_pixel_values"] = self._views(image, [self.part] * self.parts)
        return sample

    def _views(self, image: Image, views: list[list[Transform]]) -> torch.Tensor:
        made = []
        for transforms in views:
            view = image
            for transform in transforms:
                view = transform(view)
            made.append(self.plain.values(view))
        return torch.stack(made)


class GaussianBlur:
    """A blur of random deviation, with the given probability."""

    def __init__(self, probability: float) -> None:
        self.probability = probability

    def __call__(self, image: Image) -> Image:
        if torch.rand(()).item() >= self.probability:
            return image
        share = torch.rand(()).item()
        radius = SMALLEST_BLUR + share * (LARGEST_BLUR - SMALLEST_BLUR)
        return image.filter(require("PIL.ImageFilter", extra="train").GaussianBlur(radius))


def _transforms(
    processor: CrateImageProcessor,
    crops: CropsConfig,
    size: tuple[int, int],
    scale: list[float],
    blur: float,
    solarise: float,
) -> list[Transform]:
    """What one view goes through, in DINO's order; what has no chance to act is left out."""
    v2 = require("torchvision.transforms.v2", extra="train")
    kernel = require("PIL.Image", extra="train").Resampling(processor.resample).name.lower()
    jitter = v2.ColorJitter(crops.brightness, crops.contrast, crops.saturation, crops.hue)
    chosen: list[tuple[float, Transform]] = [
        (
            1.0,
            v2.RandomResizedCrop(
                size,
                scale=tuple(scale),
                ratio=tuple(crops.ratio),
                interpolation=v2.InterpolationMode(kernel),
            ),
        ),
        (crops.flip, Flip(crops.flip)),
        (crops.jitter, v2.RandomApply([jitter], crops.jitter)),
        (crops.grey, v2.RandomGrayscale(crops.grey)),
        (blur, GaussianBlur(blur)),
        (solarise, v2.RandomSolarize(BRIGHT, solarise)),
    ]
    return [transform for probability, transform in chosen if probability]
