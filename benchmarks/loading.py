"""The input pipeline beside the model it feeds: images per second, by number of workers.

    wbt bench loading

JPEG files made on the spot go through the recipes' own pipeline: decoding, a random resized crop, a
flip, normalisation; from the first batch of an epoch on. The model takes training steps meanwhile
in turn, not at the same time.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks.passes import training_step
from benchmarks.timing import Timing, interleave, ratio_row
from whitebox_transformers import CrateConfig, CrateForImageClassification
from whitebox_transformers.crate.presets import PRESETS
from whitebox_transformers.data import AugmentConfig, DataConfig, build_datasets, build_processor
from whitebox_transformers.data.loading import training_batches
from whitebox_transformers.training.progress import without_bars


@dataclass(frozen=True)
class Settings:
    """What is measured; every field is a key of the command line."""

    preset: str = "crate-tiny"
    images: int = 256
    edge: int = 400
    """Height and width of the files, in pixels."""
    batch: int = 16
    workers: tuple[str, ...] = ("0", "1", "2")
    rounds: int = 5
    device: str = "cpu"
    threads: int = 2

    choices = {"preset": tuple(PRESETS), "workers": tuple("01234") + ("8", "16")}

    @property
    def record(self) -> str:
        """Name of the file in ``benchmarks/results``."""
        return f"loading_{self.device}"


def measure(settings: Settings) -> list[dict]:
    """Images per second of both, and how many times as fast the input is."""
    device = torch.device(settings.device)
    config = CrateConfig.from_preset(settings.preset, num_labels=2)
    model = CrateForImageClassification(config).to(device).train()
    pixels = torch.randn(settings.batch, 3, config.image_size, config.image_size, device=device)
    labels = torch.zeros(settings.batch, dtype=torch.long, device=device)
    step = training_step(model, lambda: model(pixels, labels=labels).loss)
    mode = f"{settings.preset}, batch {settings.batch}"
    per_image: dict[str, Timing] = {}
    taken = interleave({"step": step}, settings.rounds, device, "training step")
    per_image["training step"] = taken["step"] * (1 / settings.batch)
    with picture_folder(settings.images, settings.edge) as folder:
        data = DataConfig(source="folder", path=str(folder), cache="off", scan=False)
        augment = AugmentConfig(crop="resized", flip=0.5)
        with without_bars():
            train = build_datasets(
                data, augment, build_processor(data, config.image_size, 3), seed=0
            ).train
        for workers in settings.workers:
            seconds = [
                epoch_seconds(train, settings.batch, epoch, int(workers))
                for epoch in range(settings.rounds)
            ]
            per_image[f"input, {workers} workers"] = Timing(seconds)
    rows: list[dict] = [
        {
            "mode": mode,
            "what": f"{name}, images per second",
            "median": round(1 / timing.median, 1),
            "minimum": round(1 / timing.minimum, 1),
        }
        for name, timing in per_image.items()
    ]
    model_time = per_image["training step"]
    return rows + [
        ratio_row(mode, f"images per second, {name} / training step", model_time, timing)
        for name, timing in per_image.items()
        if name != "training step"
    ]


def epoch_seconds(split, batch: int, epoch: int, workers: int) -> float:
    """Seconds per image, from the first batch on: starting processes is not loading."""
    batches = iter(training_batches(split, batch, epoch, workers=workers))
    next(batches)
    start, count = time.perf_counter(), 0
    for one in batches:
        count += len(one["pixel_values"])
    return (time.perf_counter() - start) / count


@contextmanager
def picture_folder(images: int, edge: int) -> Iterator[Path]:
    """A folder of two classes of JPEG files: smooth colours with noise, as hard as a photograph."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as place:
        for number in range(images):
            coarse = rng.integers(0, 256, (edge // 20, edge // 20, 3), dtype=np.uint8)
            smooth = np.asarray(Image.fromarray(coarse).resize((edge, edge)), dtype=np.int16)
            noisy = smooth + rng.integers(-16, 17, smooth.shape)
            folder = Path(place, f"class{number % 2}")
            folder.mkdir(exist_ok=True)
            picture = Image.fromarray(noisy.clip(0, 255).astype(np.uint8))
            picture.save(folder / f"{number:05}.jpg", quality=90)
        yield Path(place)
