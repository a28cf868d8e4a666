"""The noise by which a masked autoencoder hides patches, as a function of what it is for."""

from __future__ import annotations

import torch

from whitebox_transformers.data.augment import Key
from whitebox_transformers.data.protocol import Sample
from whitebox_transformers.data.seeding import seed_of


class MaskNoise:
    """One uniform number for every patch; the model hides the patches with the most.

    A function of the sample's key alone: in training of seed, epoch and image, in evaluation of
    the image, so that every model and every pass meets the same masks there.

    Args:
        patches: Patches of an image.
    """

    def __init__(self, patches: int) -> None:
        self.patches = patches

    def __call__(self, key: Key) -> Sample:
        """``{"noise": (patches,) float32}``."""
        generator = torch.Generator().manual_seed(seed_of("mask", *key))
        return {"noise": torch.rand(self.patches, generator=generator)}
