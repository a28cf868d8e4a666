"""From a recipe's ``data:`` and ``augment:`` blocks to training, validation and test sets."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch

from whitebox_transformers.crate.image_processing_crate import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    CrateImageProcessor,
)
from whitebox_transformers.data.augment import Mixing, PlainView, RandomView, View
from whitebox_transformers.data.config import AugmentConfig, DataConfig
from whitebox_transformers.data.crops import MultiCropView
from whitebox_transformers.data.dataset import Beside, ImageDataset
from whitebox_transformers.data.digits import open_digits
from whitebox_transformers.data.faults import judge
from whitebox_transformers.data.folder import open_folder
from whitebox_transformers.data.hub import open_hub
from whitebox_transformers.data.images import Images, Stage
from whitebox_transformers.data.parquet import open_parquet
from whitebox_transformers.data.records import BadImage, ImageSource, RecordStream, Splits
from whitebox_transformers.data.scan import Scan, scan, wrong_labels
from whitebox_transformers.data.splits import Selection, split_source
from whitebox_transformers.data.stream import CarvedStream, ImageStream, LimitedStream
from whitebox_transformers.errors import UserError

logger = logging.getLogger(__name__)

OPENERS: dict[str, Callable[[DataConfig], tuple[Splits, list[str] | None]]] = {
    "digits": lambda data: open_digits(),
    "folder": open_folder,
    "parquet": open_parquet,
    "hub": open_hub,
}
PILLOW_FILTERS = {"nearest": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3}
GIB = 2**30


@dataclass
class ImageData:
    """What a run sees.

    Every member is an ``ImageDataset``, or with ``data.streaming`` an ``ImageStream``.
    """

    train: ImageDataset | ImageStream
    """With augmentation."""
    train_plain: ImageDataset | ImageStream
    """The training images as evaluation sees them, for measurements."""
    validation: ImageDataset | ImageStream
    test: ImageDataset | ImageStream
    labels: list[str]
    """Class names in the order of their numbers."""
    num_channels: int


def build_processor(
    data: DataConfig, image_size: int | tuple[int, int], num_channels: int
) -> CrateImageProcessor:
    """The preprocessing of a run: what evaluation, ``pipeline`` and prediction all do.

    Args:
        data: Its resize, interpolation and normalisation keys.
        image_size: The model's, in pixels: one number or height and width.
        num_channels: The model's, 1 or 3.

    Raises:
        UserError: Values that do not fit each other.
    """
    height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
    box = {"height": height, "width": width}
    edge = data.resize_edge or min(height, width)
    if edge < min(height, width):
        raise UserError(f"data.resize_edge={edge} is below the model's image size {height}x{width}")
    coloured = num_channels == 3
    try:
        return CrateImageProcessor(
            size={"shortest_edge": edge} if data.resize == "crop" else box,
            crop_size=box,
            do_center_crop=data.resize == "crop",
            resample=PILLOW_FILTERS[data.interpolation],
            image_mean=data.mean or (IMAGENET_MEAN if coloured else (0.5,) * num_channels),
            image_std=data.std or (IMAGENET_STD if coloured else (0.5,) * num_channels),
            num_channels=num_channels,
        )
    except ValueError as error:
        raise UserError(f"data.mean, data.std or the model's num_channels: {error}") from error


def build_datasets(
    data: DataConfig,
    augment: AugmentConfig | MultiCropView,
    processor: CrateImageProcessor,
    seed: int,
    beside: Beside | None = None,
) -> ImageData:
    """Find, check, split and wrap the images of a recipe.

    Args:
        data: The recipe's ``data`` block.
        augment: Its ``augment`` block, or several views of every training image.
        processor: From ``build_processor``.
        seed: The run's seed: order and augmentation.
        beside: What samples hold in place of labels, where labels are not learned.

    Raises:
        UserError: Broken or mislabelled images, missing classes, a path that does not exist ...:
            each named, before anything is trained.
    """
    sources, names = OPENERS[data.source](data)
    names = _class_names(sources, names, data)
    plain = PlainView(processor)
    random: View
    mixing = None
    if isinstance(augment, AugmentConfig):
        random = RandomView(processor, augment)
        mixing = Mixing(augment, len(names)) if augment.mixes else None
    else:
        random = augment
    if data.streaming:
        streams = _carved_streams(cast(dict[str, RecordStream], sources), data)
        common = {"processor": processor, "classes": len(names), "data": data, "beside": beside}
        held = {
            role: ImageStream(stream, view=plain, training=False, **common)
            for role, stream in streams.items()
        }
        train = ImageStream(
            streams["train"], view=random, training=True, seed=seed, mixing=mixing, **common
        )
    else:
        splits = split_source(cast(dict[str, ImageSource], sources), data)
        kept = _checked(splits, processor, random.stage, names, data)
        held = {
            role: ImageDataset(images, images.source.labels, plain, beside=beside)
            for role, images in kept.items()
        }
        train = ImageDataset(kept["train"], held["train"].labels, random, seed, mixing, beside)
    return ImageData(
        train=train,
        train_plain=held["train"],
        validation=held["validation"],
        test=held["test"],
        labels=names,
        num_channels=processor.num_channels,
    )


def _class_names(sources: Splits, names: list[str] | None, data: DataConfig) -> list[str]:
    """The recipe's class names, those stored with the data, or the numbers found."""
    names = data.labels or names
    if names is None:
        if data.streaming:
            raise UserError(
                f"{data.path} does not tell its class names, and a stream cannot be searched for "
                f"them; list them in data.labels"
            )
        names = _numbers(cast(ImageSource, sources["train"]), data)
    if len(names) < 2 and data.labelled:
        raise UserError(
            f"{data.path} has {len(names)} class ({', '.join(names)}); a classifier needs two"
        )
    return names


def _numbers(source: ImageSource, data: DataConfig) -> list[str]:
    """The class numbers of images whose classes have no names: up to the largest that is found.

    Raises:
        UserError: Numbers below the largest are missing, as they are where one label is damaged.
    """
    present = source.labels[source.labels >= 0].unique(sorted=True)
    if not len(present):
        return []
    low, high = int(present[0]), int(present[-1])
    if len(present) <= high - low:
        row = int(source.labels.argmax())
        after = int(present[present.diff().gt(1).nonzero()[-1]])
        raise UserError(
            f"{data.path} does not tell its class names, and no training image is of class "
            f"{after + 1}, though one is of {high}: {source.record(row).name}; correct the labels, "
            f"or list the names of all classes in data.labels"
        )
    return [str(label) for label in range(high + 1)]


def _carved_streams(sources: dict[str, RecordStream], data: DataConfig) -> dict[str, RecordStream]:
    """Train, validation and test; a missing one is the part of train whose names hash below."""
    shares = {"test": data.test_share, "validation": data.validation_share}
    streams, low = dict(sources), 0.0
    for role, share in shares.items():
        if role not in sources:
            high = low + share * (1 - low)
            streams[role] = CarvedStream(sources["train"], low, high, data.split_seed)
            low = high
    streams["train"] = CarvedStream(sources["train"], low, 1.0, data.split_seed)
    if data.limit is None:
        return streams
    return {
        role: LimitedStream(stream, data.limit, data.split_seed) for role, stream in streams.items()
    }


def _checked(
    splits: dict[str, ImageSource],
    processor: CrateImageProcessor,
    train_stage: Stage,
    names: list[str],
    data: DataConfig,
) -> dict[str, Images]:
    """Scan all splits, judge what is broken, and keep the rest."""
    scans = {}
    for role, source in splits.items():
        stage = train_stage if role == "train" else "fitted"
        scans[role] = _look(role, source, processor, stage, names, data)
    bad = [fault for found in scans.values() for fault in found.bad]
    judge(bad, sum(len(source) for source in splits.values()), data, "images")
    kept = {}
    for role, found in scans.items():
        source = Selection(splits[role], found.good)
        if not len(source):
            raise UserError(f"the {role} split of {data.path or data.source} holds no image")
        kept[role] = Images(source, processor, data.max_pixels, found.decoded)
    if data.labelled:
        _require_all_classes(kept["train"].source.labels, names, data)
    return kept


def _look(
    role: str,
    source: ImageSource,
    processor: CrateImageProcessor,
    stage: Stage,
    names: list[str],
    data: DataConfig,
) -> Scan:
    wrong = wrong_labels(source, len(names))
    if wrong and len(wrong) == len(source):
        raise UserError(
            f"no image of the {role} split of {data.path} has a label in 0..{len(names) - 1}; "
            f"choose another split with data.{role}_split"
        )
    faults = []
    for index in wrong:
        label = int(source.labels[index])
        reason = f"label {label} is not in 0..{len(names) - 1}"
        faults.append(BadImage(source.record(index).name, reason))
    labelled = torch.ones(len(source), dtype=torch.bool)
    labelled[wrong] = False
    candidates = labelled.nonzero().flatten()
    if not data.scan:
        return Scan(candidates, faults, None)
    budget = int(data.cache_gib * GIB) if data.cache == "auto" else 0
    images = Images(Selection(source, candidates), processor, data.max_pixels)
    found = scan(images, stage, budget, f"checking {role} images")
    return Scan(candidates[found.good], faults + found.bad, found.decoded)


def _require_all_classes(labels: torch.Tensor, names: list[str], data: DataConfig) -> None:
    """Training images must show two classes or more, and should show all."""
    counts = labels.bincount(minlength=len(names))
    empty = [name for name, count in zip(names, counts.tolist(), strict=True) if not count]
    if len(empty) > len(names) - 2:
        raise UserError(f"all training images of {data.path} are of one class; two are needed")
    if empty:
        logger.warning("%d classes have no training image: %s", len(empty), ", ".join(empty[:5]))
