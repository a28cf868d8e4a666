"""The noise of masks is a function of seed, epoch and image, and fixed in evaluation."""

from __future__ import annotations

import torch

from whitebox_transformers.crate.image_processing_crate import CrateImageProcessor
from whitebox_transformers.data.build import build_datasets
from whitebox_transformers.data.config import AugmentConfig, DataConfig
from whitebox_transformers.data.loading import evaluation_batches, training_batches
from whitebox_transformers.data.masks import MaskNoise


def digits(seed: int = 0):
    processor = CrateImageProcessor(
        size={"height": 8, "width": 8},
        do_center_crop=False,
        num_channels=1,
        image_mean=[0.5],
        image_std=[0.5],
    )
    return build_datasets(
        DataConfig(limit=40), AugmentConfig(crop="padded"), processor, seed, MaskNoise(16)
    )


def test_samples_hold_pixels_and_noise_and_no_label():
    data = digits()
    for split in (data.train, data.train_plain, data.validation, data.test):
        sample = split[0]
        assert set(sample) == {"pixel_values", "noise"}
        assert sample["noise"].shape == (16,)
        assert 0 <= sample["noise"].min() < sample["noise"].max() < 1


def test_training_noise_depends_on_seed_epoch_and_image_alone():
    first, again, other = digits().train, digits().train, digits(seed=1).train
    first[(0, 5)]  # what was asked before does not matter
    noise = first[(2, 3)]["noise"]
    assert torch.equal(noise, again[(2, 3)]["noise"])
    for different in (first[(1, 3)], first[(2, 4)], other[(2, 3)]):
        assert not torch.equal(noise, different["noise"])


def test_evaluation_noise_is_the_same_in_every_run_and_pass():
    first, other = digits().validation, digits(seed=1).validation
    for index in range(3):
        assert torch.equal(first[index]["noise"], other[index]["noise"])
    batches = [next(iter(evaluation_batches(first, 4)))["noise"] for _ in range(2)]
    assert torch.equal(*batches)
    assert torch.equal(batches[0][1], first[1]["noise"])


def test_batches_stack_the_noise():
    batch = next(iter(training_batches(digits().train, 8, epoch=0)))
    assert batch["pixel_values"].shape == (8, 1, 8, 8)
    assert batch["noise"].shape == (8, 16)
