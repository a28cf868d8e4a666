"""Images for training and evaluation: sources, splits, checks, augmentation, exact order.

``build_datasets`` is the way in. Every random draw is a function of (seed, epoch, image), so what
a run sees depends neither on the number of workers or processes nor on where it was interrupted.
"""

from whitebox_transformers.data.build import ImageData, build_datasets, build_processor
from whitebox_transformers.data.config import AugmentConfig, DataConfig
from whitebox_transformers.data.dataset import ImageDataset
from whitebox_transformers.data.loading import evaluation_batches, training_batches
from whitebox_transformers.data.sampler import EpochSampler
from whitebox_transformers.data.stream import ImageStream

__all__ = [
    "AugmentConfig",
    "DataConfig",
    "EpochSampler",
    "ImageData",
    "ImageDataset",
    "ImageStream",
    "build_datasets",
    "build_processor",
    "evaluation_batches",
    "training_batches",
]
