"""Augmentation draws what it says, and only where it is asked to."""

import pytest
import torch

from whitebox_transformers.data import AugmentConfig, DataConfig
from whitebox_transformers.errors import UserError

from .conftest import build, write_folder

RAW = {"mean": [0.0], "std": [1.0]}


def digits(augment, **data):
    return build(DataConfig(limit=60, **RAW, **data), augment, channels=1)


def test_without_augmentation_training_sees_what_evaluation_sees():
    data = digits(AugmentConfig())
    for index in range(60):
        ours, plain = data.train[(3, index)], data.train_plain[index]
        assert torch.equal(ours["pixel_values"], plain["pixel_values"])
        assert ours["labels"] == plain["labels"]
        assert isinstance(ours["labels"], int)


def test_flips_are_flips():
    data = digits(AugmentConfig(flip=0.5))
    flipped = 0
    for index in range(60):
        image, plain = data.train[(0, index)]["pixel_values"], data.train_plain[index]
        if not torch.equal(image, plain["pixel_values"]):
            assert torch.equal(image.flip(-1), plain["pixel_values"])
            flipped += 1
    assert 15 < flipped < 45


def test_padded_crops_are_shifts():
    data = digits(AugmentConfig(crop="padded", crop_padding=2))
    shifts = set()
    for index in range(60):
        image = data.train[(0, index)]["pixel_values"]
        padded = torch.nn.functional.pad(data.train_plain[index]["pixel_values"], [2] * 4)
        match = [
            (top, left)
            for top in range(5)
            for left in range(5)
            if torch.equal(padded[:, top : top + 8, left : left + 8], image)
        ]
        assert match
        shifts.add(match[0])
    assert len(shifts) > 12


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [8, (6, 10)])
def test_resized_crops_and_rand_augment_keep_the_shape(tmp_path, channels, size):
    write_folder(tmp_path, {"a": 10, "b": 10})
    augment = AugmentConfig(crop="resized", flip=0.5, rand_augment_ops=2, rand_augment_magnitude=14)
    data = build(DataConfig(source="folder", path=str(tmp_path)), augment, size, channels)
    shape = (channels, 8, 8) if size == 8 else (channels, *size)
    images = [data.train[(epoch, 0)]["pixel_values"] for epoch in range(8)]
    assert all(image.shape == shape and image.isfinite().all() for image in images)
    assert len({tuple(image.flatten().tolist()) for image in images}) > 4


def test_mixup_is_a_convex_combination_of_two_images():
    data = digits(AugmentConfig(mixup=0.8))
    plain = torch.stack([sample["pixel_values"] for sample in data.train_plain])
    for index in range(60):
        sample = data.train[(0, index)]
        label, image = sample["labels"], sample["pixel_values"]
        assert label.shape == (10,)
        assert label.sum() == pytest.approx(1, abs=1e-6)
        own = data.train_plain[index]["labels"]
        weight = label[own].item()
        others = [n for n in label.nonzero().flatten().tolist() if n != own]
        assert len(others) <= 1
        if others:
            rest = image - weight * plain[index]
            partners = plain[data.train.labels == others[0]] * (1 - weight)
            assert (partners - rest).abs().amax((1, 2, 3)).min() < 1e-5


def test_cutmix_pastes_a_box():
    data, cut = digits(AugmentConfig(cutmix=1.0)), 0
    for index in range(60):
        sample = data.train[(0, index)]
        same = (sample["pixel_values"] == data.train_plain[index]["pixel_values"]).float().mean()
        own = sample["labels"][data.train_plain[index]["labels"]]
        assert own == 1 or own <= same + 1e-6
        cut += bool(own < 1)
    assert cut > 20


def test_mix_probability():
    data = digits(AugmentConfig(mixup=0.8, mix_probability=0.4))
    plain = [data.train_plain[index]["pixel_values"] for index in range(60)]
    untouched = sum(torch.equal(data.train[i]["pixel_values"], plain[i]) for i in range(60))
    assert 24 <= untouched <= 48
    assert all(data.train[index]["labels"].dtype == torch.float32 for index in range(60))


def test_validation_and_test_are_never_augmented():
    data = digits(AugmentConfig(crop="padded", flip=1.0, mixup=1.0))
    for dataset in (data.validation, data.test, data.train_plain):
        assert isinstance(dataset[0]["labels"], int)
        assert torch.equal(dataset[0]["pixel_values"], dataset[(5, 0)]["pixel_values"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"crop": "random"}, "augment.crop='random' is not known"),
        ({"flip": 1.5}, "augment.flip=1.5 is out of range; expected [0.0, 1.0]"),
        ({"rand_augment_magnitude": 31}, "augment.rand_augment_magnitude=31 is out of range"),
        ({"crop_scale": [0.5, 0.1]}, "augment.crop_scale=[0.5, 0.1] must be two numbers"),
        ({"mixup": -1.0}, "augment.mixup=-1.0 is out of range; expected [0.0, inf)"),
    ],
)
def test_settings_that_cannot_be(settings, message):
    with pytest.raises(UserError) as caught:
        AugmentConfig(**settings)
    assert message in str(caught.value)
