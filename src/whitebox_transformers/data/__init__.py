"""Images for training and evaluation: sources, splits, checks, augmentation, exact order.

``build_datasets`` is the way in. Every random draw is a function of (seed, epoch, image), so what
a run sees depends neither on the number of workers or processes nor on where it was interrupted.
"""

from whitebox_transformers.data.config import AugmentConfig, DataConfig

__all__ = ["AugmentConfig", "DataConfig"]
