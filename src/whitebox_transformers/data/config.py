"""What a recipe says about images: the ``data:`` and ``augment:`` blocks."""

import math
from dataclasses import dataclass, field
from typing import Literal

from whitebox_transformers.errors import UserError


@dataclass
class DataConfig:
    """Where the images are, how they are split, and what to do with broken ones."""

    source: Literal["digits", "folder", "parquet", "hub"] = "digits"
    """``digits``: scikit-learn's 8x8 digits, one channel, nothing to download.
    ``folder``: one sub-folder per class, with or without ``train``/``val``/``test`` above them.
    ``parquet``: a folder of ``train-*.parquet``, ``test-*.parquet`` ... with images and labels.
    ``hub``: a data set name for the ``datasets`` library."""

    path: str | None = None
    """The folder, or the data set's name if ``source: hub``. ``~`` and ``${VARIABLE}`` are
    expanded; an unset variable is an error. Unused by ``digits``."""

    subset: str | None = None
    """``source: hub`` only: the configuration of a data set that has several."""

    revision: str | None = None
    """``source: hub`` only: branch, tag or commit of the data set; fix it for runs to repeat."""

    train_split: str | None = None
    """Name of the training split. ``null``: ``train``."""

    validation_split: str | None = None
    """Name of the validation split. ``null``: ``validation``, ``valid``, ``val`` or ``dev`` if one
    exists; otherwise validation is carved from the training split."""

    test_split: str | None = None
    """Name of the test split. ``null``: ``test`` or ``testing`` if one exists; otherwise test is
    carved from the training split."""

    image_column: str | None = None
    """Parquet and hub: the column of images. ``null``: the only column that can be one."""

    labelled: bool = True
    """``false``: the images have no classes; for tasks that learn without. In a ``folder`` every
    image below it is taken, in whatever folders, with or without ``train``/``val``/``test``; of
    parquet files and hub sets no column of labels is read or needed."""

    label_column: str | None = None
    """Parquet and hub: the column of class numbers. ``null``: ``label``, ``labels``,
    ``fine_label`` or the only ClassLabel column."""

    labels: list[str] | None = None
    """Class names in the order of their numbers. ``null``: folder names in sorted order, the
    ClassLabel names stored with the data, or the numbers themselves."""

    validation_share: float = 0.1
    """Share of the training images carved for validation, class by class, if no such split
    exists."""

    test_share: float = 0.2
    """Share carved for testing, class by class and before validation, when no such split exists."""

    split_seed: int = 0
    """Seed of the carving, apart from the run's seed: runs with other seeds share their splits."""

    limit: int | None = None
    """Use at most this many images of each split (drawn with ``split_seed``); for trials."""

    resize: Literal["crop", "squash"] = "crop"
    """``crop``: scale until the image covers the model's size, keep the centre.
    ``squash``: scale height and width separately, lose no pixel but the aspect ratio."""

    resize_edge: int | None = None
    """``resize: crop`` only: the shorter edge before the centre crop (256 for ImageNet at 224).
    ``null``: the model's own size."""

    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos"] = "bilinear"
    """How images are resized, in training and evaluation."""

    mean: list[float] | None = None
    """Mean of each channel, in units of the full range [0, 1]. ``null``: ImageNet's for three
    channels, 0.5 otherwise."""

    std: list[float] | None = None
    """Standard deviation of each channel in the same units. ``null``: as for ``mean``."""

    streaming: bool = False
    """Read the images in passing instead of addressing them: for sets that do not fit. Such a set
    is not scanned; broken images are skipped, counted and named while training."""

    shuffle_buffer: int = 10_000
    """Streaming only: how many encoded images are held to draw from."""

    scan: bool = True
    """Decode every image once before training, so that all broken ones are named at once.
    ``false``: the first broken image met stops the run. Streams are never scanned."""

    on_bad: Literal["error", "skip"] = "error"
    """What to do with broken images that the scan finds: stop and list them, or leave them out.
    Streams always skip."""

    max_bad: float = 0.001
    """Largest share of broken images that may be left out or skipped; beyond it the run stops."""

    max_pixels: int = 80_000_000
    """Images with more pixels (height x width) are refused before they are decoded."""

    cache: Literal["auto", "off"] = "auto"
    """``auto``: keep the decoded images in memory, once for all workers, if they fit
    ``cache_gib``; ``off``: decode in every epoch."""

    cache_gib: float = 1.0
    """Largest size of that memory, in GiB, for each split."""

    def __post_init__(self) -> None:
        check_choice("data.source", self.source, ("digits", "folder", "parquet", "hub"))
        check_choice("data.resize", self.resize, ("crop", "squash"))
        kernels = ("nearest", "bilinear", "bicubic", "lanczos")
        check_choice("data.interpolation", self.interpolation, kernels)
        check_choice("data.on_bad", self.on_bad, ("error", "skip"))
        check_choice("data.cache", self.cache, ("auto", "off"))
        if self.source != "digits" and not self.path:
            raise UserError(f"data.path is missing: data.source={self.source} needs one")
        if self.source == "digits" and self.streaming:
            raise UserError("data.streaming=true is for folder, parquet and hub, not for digits")
        if not self.labelled and self.source == "digits":
            raise UserError("data.labelled=false: the digits have labels; leave it out")
        for key in ("labels", "label_column"):
            value = getattr(self, key)
            if not self.labelled and value:
                raise UserError(f"data.{key}={value} with data.labelled=false; remove one")
        for key in ("validation_share", "test_share", "max_bad"):
            check_range(f"data.{key}", getattr(self, key), 0.0, 1.0, below_high=True)
        for key in ("limit", "resize_edge"):
            if getattr(self, key) is not None:
                check_range(f"data.{key}", getattr(self, key), 1, math.inf)
        check_range("data.shuffle_buffer", self.shuffle_buffer, 1, math.inf)
        check_range("data.max_pixels", self.max_pixels, 1, math.inf)
        check_range("data.cache_gib", self.cache_gib, 0.0, math.inf)
        if self.std is not None and min(self.std, default=0.0) <= 0:
            raise UserError(f"data.std={self.std}: every value must be above 0")


@dataclass
class AugmentConfig:
    """Random changes of training images; every draw is a function of seed, epoch and image."""

    crop: Literal["none", "padded", "resized"] = "none"
    """``none``: as in evaluation. ``padded``: pad the evaluated size by ``crop_padding`` and cut it
    out at a random place. ``resized``: a random box of the original, resized (Inception crop)."""

    crop_padding: int = 4
    """``crop: padded`` only: pixels added on every side, black."""

    crop_scale: list[float] = field(default_factory=lambda: [0.08, 1.0])
    """``crop: resized`` only: smallest and largest share of the image's area."""

    crop_ratio: list[float] = field(default_factory=lambda: [3 / 4, 4 / 3])
    """``crop: resized`` only: smallest and largest width / height of the box."""

    flip: float = 0.0
    """Probability of a horizontal flip."""

    rand_augment_ops: int = 0
    """RandAugment: operations per image; 0 switches it off."""

    rand_augment_magnitude: int = 9
    """RandAugment: strength of the operations, 0 to 30 (torchvision's 31 bins)."""

    mixup: float = 0.0
    """Mixup: parameter of the Beta distribution; 0 switches it off."""

    cutmix: float = 0.0
    """CutMix: parameter of the Beta distribution; 0 switches it off. With ``mixup`` too, each
    mixed image uses one of the two, evenly."""

    mix_probability: float = 1.0
    """Share of the images that are mixed at all."""

    def __post_init__(self) -> None:
        check_choice("augment.crop", self.crop, ("none", "padded", "resized"))
        check_range("augment.crop_padding", self.crop_padding, 0, math.inf)
        check_interval("augment.crop_scale", self.crop_scale, high=1.0)
        check_interval("augment.crop_ratio", self.crop_ratio, high=math.inf)
        check_range("augment.flip", self.flip, 0.0, 1.0)
        check_range("augment.rand_augment_ops", self.rand_augment_ops, 0, math.inf)
        check_range("augment.rand_augment_magnitude", self.rand_augment_magnitude, 0, 30)
        check_range("augment.mixup", self.mixup, 0.0, math.inf)
        check_range("augment.cutmix", self.cutmix, 0.0, math.inf)
        check_range("augment.mix_probability", self.mix_probability, 0.0, 1.0)

    @property
    def mixes(self) -> bool:
        """Whether labels become soft: any image may be mixed with another."""
        return self.mix_probability > 0 and (self.mixup > 0 or self.cutmix > 0)


def check_choice(key: str, value: object, choices: tuple[str, ...]) -> None:
    """Raise ``UserError`` unless the value of a recipe's key is one of ``choices``."""
    if value not in choices:
        raise UserError(f"{key}={value!r} is not known; choose one of {', '.join(choices)}")


def check_range(key: str, value: float, low: float, high: float, below_high: bool = False) -> None:
    """Raise ``UserError`` unless low <= value <= high, or < high if ``below_high``."""
    inside = low <= value < high if below_high else low <= value <= high
    if not inside:
        closing = ")" if below_high or math.isinf(high) else "]"
        raise UserError(f"{key}={value} is out of range; expected [{low}, {high}{closing}")


def check_interval(key: str, value: list[float], high: float) -> None:
    """Raise ``UserError`` unless ``value`` is two numbers, 0 < smallest <= largest <= high."""
    if len(value) != 2 or not 0 < value[0] <= value[1] <= high:
        raise UserError(f"{key}={value} must be two numbers, 0 < smallest <= largest <= {high}")
