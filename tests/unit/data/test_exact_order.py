"""What a run sees is a function of seed, epoch and image: not of workers, order or interruption."""

import pytest
import torch

from whitebox_transformers.data import (
    AugmentConfig,
    DataConfig,
    EpochSampler,
    evaluation_batches,
    training_batches,
)
from whitebox_transformers.errors import UserError

from .conftest import build

AUGMENTATIONS = {
    "padded": AugmentConfig(crop="padded", crop_padding=2, flip=0.5),
    "resized": AugmentConfig(crop="resized", flip=0.5, rand_augment_ops=2),
    "mixed": AugmentConfig(crop="padded", mixup=0.8, cutmix=1.0, mix_probability=0.7),
}


def equal(ours, theirs):
    return len(ours) == len(theirs) and all(
        torch.equal(a[key], b[key]) for a, b in zip(ours, theirs, strict=True) for key in a
    )


@pytest.fixture(scope="module", params=AUGMENTATIONS)
def dataset(request):
    return build(DataConfig(limit=100), AUGMENTATIONS[request.param], channels=1, seed=5).train


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_do_not_matter(dataset, workers):
    alone = list(training_batches(dataset, 8, epoch=3))
    assert len(alone) == 12
    torch.manual_seed(1234)
    assert equal(alone, list(training_batches(dataset, 8, epoch=3, workers=workers)))


def test_interruption_does_not_matter(dataset):
    whole = list(training_batches(dataset, 8, epoch=1))
    torch.rand(17)
    assert equal(whole[5:], list(training_batches(dataset, 8, epoch=1, start=5, workers=2)))
    assert len(training_batches(dataset, 8, epoch=1, start=5)) == 7


def test_the_number_of_processes_does_not_matter(dataset):
    one = list(training_batches(dataset, 8, epoch=0))
    ranks = [list(training_batches(dataset, 4, epoch=0, rank=r, world=2)) for r in range(2)]
    joined = [{key: torch.cat([a[key], b[key]]) for key in a} for a, b in zip(*ranks, strict=True)]
    assert equal(one, joined)


def test_the_order_of_asking_does_not_matter(dataset):
    keys = [(2, 7), (0, 3), (2, 9)]
    forward = [dataset[key] for key in keys]
    backward = [dataset[key] for key in reversed(keys)][::-1]
    assert all(torch.equal(a["pixel_values"], b["pixel_values"])
               for a, b in zip(forward, backward, strict=True))  # fmt: skip


def test_epochs_and_seeds_do_matter(dataset):
    first, second = (dataset[(epoch, 3)]["pixel_values"] for epoch in (0, 1))
    other = build(DataConfig(limit=100), AUGMENTATIONS["padded"], channels=1, seed=6).train
    draws = [other[(0, i)]["pixel_values"] for i in range(5)]
    ours = build(DataConfig(limit=100), AUGMENTATIONS["padded"], channels=1, seed=5).train
    assert any(not torch.equal(draws[i], ours[(0, i)]["pixel_values"]) for i in range(5))
    assert not torch.equal(first, second) or not torch.equal(
        dataset[(0, 4)]["pixel_values"], dataset[(1, 4)]["pixel_values"]
    )


def test_asking_leaves_torch_alone(dataset):
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    dataset[(0, 0)]
    assert torch.equal(torch.rand(3), expected)


def test_sampler_permutes_every_epoch_anew():
    sampler = EpochSampler(50, seed=0)
    orders = []
    for epoch in range(3):
        sampler.set_epoch(epoch)
        keys = list(sampler)
        assert {key[0] for key in keys} == {epoch}
        orders.append([key[1] for key in keys])
    assert all(sorted(order) == list(range(50)) for order in orders)
    assert orders[0] != orders[1] != orders[2]
    assert list(EpochSampler(50, seed=0, epoch=2)) == [(2, index) for index in orders[2]]
    assert list(EpochSampler(50, seed=1)) != list(EpochSampler(50, seed=0))


def test_evaluation_sees_every_image_once_in_order():
    data = build(DataConfig(limit=30), channels=1)
    batches = list(evaluation_batches(data.test, 8, workers=2))
    assert [len(batch["labels"]) for batch in batches] == [8, 8, 8, 6]
    assert torch.equal(torch.cat([batch["labels"] for batch in batches]), data.test.labels)


def test_a_batch_larger_than_the_set():
    data = build(DataConfig(limit=30), channels=1)
    with pytest.raises(UserError, match="30 training samples do not fill a batch of 20 on 2"):
        training_batches(data.train, 20, epoch=0, world=2)


def test_workers_share_the_pixels():
    data = build(DataConfig(limit=30), channels=1)
    decoded = data.train.images.decoded
    assert isinstance(decoded.pixels.content, torch.Tensor)
    assert decoded.pixels.content.numel() == 30 * 8 * 8


def test_the_cache_keeps_to_its_limit():
    small = build(DataConfig(limit=30, cache_gib=1e-6), channels=1)
    assert small.train.images.decoded is None
    large = build(DataConfig(limit=30), channels=1)
    for index in range(30):
        ours, theirs = small.train[(0, index)], large.train[(0, index)]
        assert torch.equal(ours["pixel_values"], theirs["pixel_values"])
