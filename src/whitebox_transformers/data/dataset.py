"""Images that can be addressed by number, as samples for training and evaluation."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.utils.data import Dataset

from whitebox_transformers.data.augment import Key, Mixing, View
from whitebox_transformers.data.images import Images
from whitebox_transformers.data.protocol import Sample
from whitebox_transformers.data.seeding import seed_of, seeded

Beside = Callable[[Key], Sample]
"""What stands beside the pixels of a sample in place of its label, drawn under its key."""


class ImageDataset(Dataset[Sample]):
    """Samples ``{"pixel_values": (C, H, W) float32, "labels": int}``.

    With mixing, ``labels`` is a distribution (classes,) float32; with ``beside`` there are none.

    Addressed by ``(epoch, index)``, as ``EpochSampler`` yields them, or by ``index`` (epoch 0).
    A sample is a function of the run's seed and that key, whoever asks and whenever.

    Args:
        images: The split.
        labels: (images,) int64.
        view: How an image becomes values.
        seed: The run's seed.
        mixing: Mixup and CutMix, if any.
        beside: What stands in place of the label, if anything does.
    """

    def __init__(
        self,
        images: Images,
        labels: torch.Tensor,
        view: View,
        seed: int = 0,
        mixing: Mixing | None = None,
        beside: Beside | None = None,
    ) -> None:
        self.images = images
        self.labels = labels
        self.view = view
        self.seed = seed
        self.mixing = mixing
        self.beside = beside

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, key: int | tuple[int, int]) -> Sample:
        epoch, index = key if isinstance(key, tuple) else (0, key)
        if not 0 <= index < len(self):
            raise IndexError(f"image {index} of {len(self)}")
        if self.beside is not None:
            more = self.beside((self.seed, epoch, index))
            return {**self._seen(epoch, index), **more}
        if self.mixing is None:
            return {**self._seen(epoch, index), "labels": int(self.labels[index])}
        values, label = self._mixed(self.mixing, epoch, index)
        return {"pixel_values": values, "labels": label}

    def name(self, index: int) -> str:
        """The path of an image, or its file and row."""
        return self.images.source.record(index).name

    def _seen(self, epoch: int, index: int) -> Sample:
        image = self.images.at(index, self.view.stage)
        return self.view(image, (self.seed, epoch, index))

    def _values(self, epoch: int, index: int) -> torch.Tensor:
        return self._seen(epoch, index)["pixel_values"]

    def _mixed(self, mixing: Mixing, epoch: int, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        with seeded(seed_of("mix", self.seed, epoch, index)):
            partner = mixing.draw_partner(len(self))
            values = self._values(epoch, index)
            if partner is None:
                return values, mixing.unmixed(self.labels[index])
            pair = torch.stack([values, self._values(epoch, partner)])
            return mixing.mix(pair, self.labels[[index, partner]])
