"""Random changes of training images."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import torch
from torch.nn.functional import one_hot

from whitebox_transformers.crate.image_processing_crate import (
    CrateImageProcessor,
    channels_first,
)
from whitebox_transformers.data.config import AugmentConfig
from whitebox_transformers.data.images import Stage
from whitebox_transformers.data.protocol import Sample
from whitebox_transformers.data.seeding import seed_of, seeded
from whitebox_transformers.extras import require

if TYPE_CHECKING:
    from PIL.Image import Image

Key = tuple[int | str, ...]
"""What the draws for one image depend on: seed, epoch and the image's number or name."""


class View(Protocol):
    """How an image becomes what a model reads of it, by the names of the model's arguments."""

    stage: Stage

    def __call__(self, image: Image, key: Key, /) -> Sample: ...


class PlainView:
    """An image as in evaluation."""

    stage: Stage = "fitted"

    def __init__(self, processor: CrateImageProcessor) -> None:
        self.processor = processor

    def __call__(self, image: Image, key: Key) -> Sample:
        """``pixel_values`` (C, H, W) float32 of a fitted image; ``key`` is not needed."""
        return {"pixel_values": self.values(image)}

    def values(self, image: Image) -> torch.Tensor:
        """Values (C, H, W) float32 of an image of any size."""
        return torch.from_numpy(self.processor.to_values(channels_first(image)))


class RandomView:
    """An image cropped, flipped and altered at random; the draws are a function of its key."""

    def __init__(self, processor: CrateImageProcessor, augment: AugmentConfig) -> None:
        self.stage: Stage = "original" if augment.crop == "resized" else "fitted"
        self.plain = PlainView(processor)
        self.transforms: list[Callable[[Image], Image]] = []
        if augment.crop == "padded":
            self.transforms.append(PaddedCrop(augment.crop_padding))
        elif augment.crop == "resized":
            self.transforms.append(_resized_crop(processor, augment))
        if augment.flip:
            self.transforms.append(Flip(augment.flip))
        if augment.rand_augment_ops:
            v2 = require("torchvision.transforms.v2", extra="train")
            strength = augment.rand_augment_magnitude
            self.transforms.append(v2.RandAugment(augment.rand_augment_ops, strength))

    def __call__(self, image: Image, key: Key) -> Sample:
        """``pixel_values`` (C, H, W) float32 of an image at ``stage``."""
        with seeded(seed_of("view", *key)):
            for transform in self.transforms:
                image = transform(image)
        return self.plain(image, key)


class PaddedCrop:
    """As torchvision's ``RandomCrop`` of an image's own size, black around, at a tenth of the cost.

    On small images the general transform takes longer than everything else together.
    """

    def __init__(self, padding: int) -> None:
        self.padding = padding

    def __call__(self, image: Image) -> Image:
        left, top = torch.randint(-self.padding, self.padding + 1, (2,)).tolist()
        return image.crop((left, top, left + image.width, top + image.height))


class Flip:
    """A horizontal flip with the given probability."""

    def __init__(self, probability: float) -> None:
        self.probability = probability

    def __call__(self, image: Image) -> Image:
        if torch.rand(()).item() >= self.probability:
            return image
        return image.transpose(require("PIL.Image", extra="train").Transpose.FLIP_LEFT_RIGHT)


class Mixing:
    """Mixup or CutMix of one image with one partner."""

    def __init__(self, augment: AugmentConfig, classes: int) -> None:
        v2 = require("torchvision.transforms.v2", extra="train")
        self.probability = augment.mix_probability
        self.classes = classes
        self.choices = []
        if augment.mixup:
            self.choices.append(v2.MixUp(alpha=augment.mixup, num_classes=classes))
        if augment.cutmix:
            self.choices.append(v2.CutMix(alpha=augment.cutmix, num_classes=classes))

    def draw_partner(self, among: int) -> int | None:
        """The number of a partner in ``range(among)``; none for images that stay unmixed.

        To be called, like ``mix`` after it, under the image's own seed.
        """
        partner = int(torch.randint(among, ()))
        return partner if torch.rand(()) < self.probability else None

    def mix(self, values: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mix an image with its partner.

        Args:
            values: (2, C, H, W): the image and its partner.
            labels: (2,) int64.

        Returns:
            The mixed image (C, H, W) and its labels (classes,) float32, which sum to one.
        """
        choice = self.choices[int(torch.randint(len(self.choices), ()))]
        mixed, soft = choice(values, labels)
        return mixed[0], soft[0].float()

    def unmixed(self, label: torch.Tensor) -> torch.Tensor:
        """A class number () int64 as a distribution (classes,) float32."""
        return one_hot(label, self.classes).float()


def _resized_crop(
    processor: CrateImageProcessor, augment: AugmentConfig
) -> Callable[[Image], Image]:
    v2 = require("torchvision.transforms.v2", extra="train")
    kernel = require("PIL.Image", extra="train").Resampling(processor.resample).name.lower()
    return v2.RandomResizedCrop(
        processor.output_size,
        scale=tuple(augment.crop_scale),
        ratio=tuple(augment.crop_ratio),
        interpolation=v2.InterpolationMode(kernel),
    )
