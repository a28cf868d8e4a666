"""Every way to hand in images gives the images that were handed in, under the right labels."""

import numpy as np
import pytest
import torch

from whitebox_transformers.data import DataConfig
from whitebox_transformers.errors import UserError

from .conftest import build, encoded, picture, write_folder, write_parquet


def names(dataset):
    return [dataset.name(index) for index in range(len(dataset))]


def test_digits_are_split_as_promised():
    data = build(DataConfig(), size=8, channels=1)
    assert (len(data.train) + len(data.validation), len(data.test)) == (1437, 360)
    assert data.labels == [str(digit) for digit in range(10)]
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    x, y = load_digits(return_X_y=True)
    _, test_x, _, test_y = train_test_split(x, y, test_size=0.2, stratify=y, random_state=0)
    ours = torch.stack([sample["pixel_values"] for sample in data.test]).flatten(1)
    np.testing.assert_allclose(ours, test_x / 16 * 2 - 1, atol=1.01 / 255)
    assert data.test.labels.tolist() == test_y.tolist()
    shares = data.validation.labels.bincount() / len(data.validation)
    assert shares == pytest.approx(data.train.labels.bincount() / len(data.train), abs=0.02)


def test_folder_without_splits_is_carved_by_class(two_classes):
    data = build(DataConfig(source="folder", path=str(two_classes)))
    assert data.labels == ["cat", "dog"]
    counts = {s: getattr(data, s).labels.bincount().tolist() for s in ("train", "test")}
    assert counts["test"] == [4, 6]
    assert data.validation.labels.bincount().tolist() == [2, 2]
    assert counts["train"] == [14, 22]
    every = names(data.train) + names(data.validation) + names(data.test)
    assert len(set(every)) == 50
    for dataset in (data.train_plain, data.validation, data.test):
        for index in range(len(dataset)):
            folder = dataset.name(index).split("/")[-2]
            assert data.labels[dataset[index]["labels"]] == folder


def test_the_carving_depends_on_its_own_seed_only(two_classes):
    def test_names(seed, **kwargs):
        config = DataConfig(source="folder", path=str(two_classes), **kwargs)
        return names(build(config, seed=seed).test)

    assert test_names(0) == test_names(1)
    assert test_names(0) != test_names(0, split_seed=1)


@pytest.mark.parametrize("validation", ["val", "valid", "validation", None])
def test_folder_with_splits(tmp_path, validation):
    write_folder(tmp_path / "train", {"a": 10, "b": 10})
    write_folder(tmp_path / "test", {"a": 2, "b": 3}, first_seed=50)
    if validation:
        write_folder(tmp_path / validation, {"b": 4}, first_seed=80)
    data = build(DataConfig(source="folder", path=str(tmp_path)))
    assert data.test.labels.tolist() == [0, 0, 1, 1, 1]
    assert data.validation.labels.tolist() == ([1] * 4 if validation else [0, 1])
    assert len(data.train) == (20 if validation else 18)


def test_a_class_may_be_called_train(tmp_path):
    write_folder(tmp_path, {"train": 12, "plane": 12})
    data = build(DataConfig(source="folder", path=str(tmp_path)))
    assert data.labels == ["plane", "train"]


def test_unusual_split_names_and_class_order(tmp_path):
    write_folder(tmp_path / "fit", {"a": 6, "b": 6})
    write_folder(tmp_path / "val", {"a": 2, "b": 2})
    config = DataConfig(
        source="folder",
        path=str(tmp_path),
        train_split="fit",
        test_split="val",
        labels=["b", "a"],
    )
    data = build(config)
    assert all(data.labels[data.test[i]["labels"]] in data.test.name(i) for i in range(4))
    assert data.labels == ["b", "a"]


@pytest.mark.parametrize(
    "layout", ["{}-00000-of-00001.parquet", "data/{}-0.parquet", "{}/x.parquet"]
)
def test_parquet_layouts(tmp_path, layout):
    images = [encoded(seed, height=8, width=8) for seed in range(20)]
    labels = [seed % 2 for seed in range(20)]
    write_parquet(tmp_path / layout.format("train"), images, labels, ["no", "yes"])
    write_parquet(tmp_path / layout.format("test"), images[:5], labels[:5], ["no", "yes"])
    data = build(DataConfig(source="parquet", path=str(tmp_path), mean=[0, 0, 0], std=[1, 1, 1]))
    assert data.labels == ["no", "yes"]
    assert len(data.test) == 5
    for index in range(5):
        expected = np.asarray(picture(index, 8, 8)) / 255
        got = data.test[index]["pixel_values"].permute(1, 2, 0)
        np.testing.assert_allclose(got, expected, atol=1e-6)
        assert data.test[index]["labels"] == index % 2
    assert len(data.train) + len(data.validation) == 20


def test_parquet_shards_follow_each_other(tmp_path):
    for shard in range(3):
        images = [encoded(shard * 10 + i, height=8, width=8) for i in range(10)]
        file = tmp_path / f"train-{shard:05}-of-00003.parquet"
        write_parquet(file, images, [0, 1] * 5, group=4)
    write_parquet(tmp_path / "test.parquet", [encoded(99)] * 2, [0, 1])
    config = DataConfig(source="parquet", path=str(tmp_path), mean=[0, 0, 0], std=[1, 1, 1])
    data = build(config)
    assert data.labels == ["0", "1"]
    for index in range(len(data.train)):
        name = data.train.name(index)
        seed = int(name.split("train-")[1][:5]) * 10 + int(name.rsplit(" ", 1)[1])
        expected = np.asarray(picture(seed, 8, 8)) / 255
        got = data.train_plain[index]["pixel_values"].permute(1, 2, 0)
        np.testing.assert_allclose(got, expected, atol=1e-6)


def test_hub_names_go_through_datasets(tmp_path):
    images = [encoded(seed, height=8, width=8) for seed in range(20)]
    write_parquet(tmp_path / "set" / "train.parquet", images, [0, 1] * 10, ["no", "yes"])
    write_parquet(tmp_path / "set" / "test.parquet", images[:4], [0, 1] * 2, ["no", "yes"])
    parquet = build(DataConfig(source="parquet", path=str(tmp_path / "set")))
    hub = build(DataConfig(source="hub", path=str(tmp_path / "set")))
    assert hub.labels == parquet.labels
    for index in range(4):
        ours, theirs = hub.test[index], parquet.test[index]
        assert torch.equal(ours["pixel_values"], theirs["pixel_values"])
        assert ours["labels"] == theirs["labels"]


def test_paths_expand_variables(two_classes, monkeypatch):
    monkeypatch.setenv("WHERE", str(two_classes.parent))
    assert len(build(DataConfig(source="folder", path="${WHERE}/set")).test) == 10
    monkeypatch.delenv("WHERE")
    with pytest.raises(UserError, match="environment variable WHERE, which is not set"):
        build(DataConfig(source="folder", path="${WHERE}/set"))


def test_limit(two_classes):
    data = build(DataConfig(source="folder", path=str(two_classes), limit=7))
    assert (len(data.train), len(data.test)) == (7, 7)


def test_cifar10(data_dir):
    config = DataConfig(source="parquet", path=str(data_dir / "cifar10"), limit=50)
    data = build(config, size=32)
    assert data.labels[:3] == ["airplane", "automobile", "bird"]
    assert data.test[0]["pixel_values"].shape == (3, 32, 32)


@pytest.mark.parametrize("cache", ["auto", "off"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [8, (6, 10)])
def test_samples_are_what_the_processor_makes_of_the_file(two_classes, cache, channels, size):
    from PIL import Image

    config = DataConfig(source="folder", path=str(two_classes), cache=cache)
    data = build(config, size=size, channels=channels)
    process = data.test.view.processor
    for index in range(len(data.test)):
        image = Image.open(data.test.name(index))
        expected = process(image, return_tensors="pt").pixel_values[0]
        assert torch.equal(data.test[index]["pixel_values"], expected)
