"""Streams: the same batches whatever reads them, and broken images skipped, counted, named."""

import logging

import pytest
import torch

from whitebox_transformers.data import (
    AugmentConfig,
    DataConfig,
    ImageStream,
    evaluation_batches,
    training_batches,
)
from whitebox_transformers.errors import UserError

from .conftest import build, encoded, write_folder, write_parquet

SIZE = 60


@pytest.fixture
def sets(tmp_path):
    """The same images as a folder, as parquet and for ``datasets``."""
    write_folder(tmp_path / "folder" / "train", {"a": SIZE // 2, "b": SIZE // 2})
    write_folder(tmp_path / "folder" / "test", {"a": 5, "b": 5})
    images = [encoded(seed) for seed in range(SIZE)]
    write_parquet(tmp_path / "parquet" / "train.parquet", images, [0, 1] * (SIZE // 2), ["a", "b"])
    write_parquet(tmp_path / "parquet" / "test.parquet", images[:10], [0, 1] * 5, ["a", "b"])
    return tmp_path


def stream(sets, kind, augment=None, **kwargs):
    folder = "parquet" if kind == "hub" else kind
    config = DataConfig(
        source=kind, path=str(sets / folder), streaming=True, shuffle_buffer=16, **kwargs
    )
    return build(config, augment or AugmentConfig(crop="padded", flip=0.5, mixup=0.5), seed=2)


def equal(ours, theirs):
    return len(ours) == len(theirs) and all(
        torch.equal(a[key], b[key]) for a, b in zip(ours, theirs, strict=True) for key in a
    )


@pytest.mark.parametrize("kind", ["folder", "parquet", "hub"])
def test_batches_depend_on_nothing_but_their_position(sets, kind):
    train = stream(sets, kind).train
    assert isinstance(train, ImageStream)
    whole = list(training_batches(train, 4, epoch=1))
    assert 10 <= len(whole) <= 15
    assert equal(whole, list(training_batches(train, 4, epoch=1, workers=2)))
    assert equal(whole[3:], list(training_batches(train, 4, epoch=1, start=3, workers=2)))
    assert not equal(whole, list(training_batches(train, 4, epoch=2)))
    # However many processes share a step, it is made of the same samples, mixed alike, each once.
    ranks = [list(training_batches(train, 2, epoch=1, rank=r, world=2)) for r in range(2)]
    joined = [
        {key: torch.cat([part[key] for part in parts]) for key in parts[0]}
        for parts in zip(*ranks, strict=True)
    ]
    assert equal(joined, whole)


@pytest.mark.parametrize("kind", ["folder", "parquet", "hub"])
def test_carved_validation_never_meets_training(sets, kind):
    data = stream(sets, kind, AugmentConfig(), validation_share=0.3)
    seen = {}
    for role in ("train_plain", "validation"):
        batches = evaluation_batches(getattr(data, role), 7)
        seen[role] = [tuple(image.flatten().tolist()) for batch in batches
                      for image in batch["pixel_values"]]  # fmt: skip
    assert len(seen["train_plain"]) + len(seen["validation"]) == SIZE
    assert 5 < len(seen["validation"]) < 35
    assert not set(seen["train_plain"]) & set(seen["validation"])
    trained = [
        tuple(image.flatten().tolist())
        for epoch in range(3)
        for batch in training_batches(data.train, 1, epoch)
        for image in batch["pixel_values"]
    ]
    assert set(trained) == set(seen["train_plain"])


def test_evaluation_reads_in_order_and_whole(sets):
    batches = list(evaluation_batches(stream(sets, "parquet").test, 4, workers=2))
    assert [len(batch["labels"]) for batch in batches] == [4, 4, 2]
    assert torch.cat([batch["labels"] for batch in batches]).tolist() == [0, 1] * 5


def broken_parquet(tmp_path, bad, size=SIZE, label=None):
    images = [encoded(seed) for seed in range(size)]
    labels = [0, 1] * (size // 2)
    for row in bad:
        images[row] = images[row][:50]
        if label is not None:
            images[row], labels[row] = encoded(row), label
    write_parquet(tmp_path / "train.parquet", images, labels, ["a", "b"])
    write_parquet(tmp_path / "val.parquet", [encoded(0)] * 2, [0, 1], ["a", "b"])
    write_parquet(tmp_path / "test.parquet", [encoded(0)] * 2, [0, 1], ["a", "b"])
    return {"source": "parquet", "path": str(tmp_path), "streaming": True}


@pytest.mark.parametrize("label", [None, 7])
def test_broken_images_are_skipped_counted_and_named(tmp_path, caplog, label):
    config = DataConfig(**broken_parquet(tmp_path, [5, 17], label=label), max_bad=0.05)
    train = build(config, AugmentConfig(flip=0.5)).train
    with caplog.at_level(logging.WARNING):
        loader = training_batches(train, 4, epoch=0)
        batches = list(loader)
    assert [len(batch["labels"]) for batch in batches] == [4] * (SIZE // 4)
    assert loader.dataset.tally.broken == 2
    for row in (5, 17):
        assert f"train.parquet row {row}: " in caplog.text
    again = training_batches(train, 4, epoch=0, workers=2)
    assert equal(batches, list(again))
    assert again.dataset.tally.broken == 2


def test_a_broken_image_in_a_batch_of_one(tmp_path):
    config = DataConfig(**broken_parquet(tmp_path, [5]), max_bad=0.05)
    train = build(config).train
    whole = list(training_batches(train, 1, epoch=0))
    assert all(len(batch["labels"]) == 1 for batch in whole)
    assert equal(whole[30:], list(training_batches(train, 1, epoch=0, start=30)))


@pytest.mark.parametrize("workers", [0, 2])
def test_too_many_broken_images_stop_the_run(tmp_path, workers):
    config = DataConfig(**broken_parquet(tmp_path, [5, 17, 20]))
    loader = training_batches(build(config).train, 4, epoch=0, workers=workers)
    with pytest.raises(UserError) as caught:
        list(loader)
    message = str(caught.value)
    assert "streamed images are broken, the last one " in message
    assert "train.parquet row " in message
    assert message.endswith("that is above data.max_bad=0.001; mend them or raise data.max_bad")


def test_one_of_few_stops_at_the_end_of_the_epoch(tmp_path):
    config = DataConfig(**broken_parquet(tmp_path, [5]))
    with pytest.raises(UserError, match="1 of .* streamed images are broken"):
        list(training_batches(build(config).train, 4, epoch=0))


def test_a_stream_needs_class_names(tmp_path):
    write_parquet(tmp_path / "train.parquet", [encoded(0)] * 4, [0, 1] * 2)
    config = {"source": "parquet", "path": str(tmp_path), "streaming": True}
    with pytest.raises(UserError, match=r"list them in data\.labels"):
        build(DataConfig(**config))
    assert build(DataConfig(**config, labels=["x", "y"])).labels == ["x", "y"]


@pytest.mark.parametrize("kind", ["folder", "parquet", "hub"])
def test_a_limit_draws_the_same_few_images_for_every_epoch(sets, kind):
    few = stream(sets, kind, limit=12)
    epochs = [{r.name for r in few.train.stream.records(seed)} for seed in (0, 1, None)]
    assert len(epochs[0]) == 12
    assert epochs[0] == epochs[1] == epochs[2]
    assert len(list(training_batches(few.train, 4, epoch=0))) == 3
