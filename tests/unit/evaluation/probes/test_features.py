"""Features are read once, kept whole, and found again only if nothing has changed."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch
from tests.contract.tiny import tiny_model
from tests.unit.data.conftest import build, write_folder

from whitebox_transformers.data import DataConfig
from whitebox_transformers.errors import UserError
from whitebox_transformers.evaluation.probes.features import read_features
from whitebox_transformers.evaluation.probes.fingerprints import (
    fingerprint_of_data,
    fingerprint_of_model,
)

CPU = torch.device("cpu")


class Counting:
    """Mean colour of an image; counts how often it is asked and for how many at a time."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def __call__(self, pixel_values: torch.Tensor) -> torch.Tensor:
        self.sizes.append(len(pixel_values))
        return pixel_values.mean((2, 3))


def read(folder, split, reader, batch_size=4):
    return read_features(folder, split, reader, {"of": "colour"}, batch_size, CPU, "colour")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("set"), {"cat": 20, "dog": 30})


@pytest.mark.parametrize("streaming", [False, True])
def test_they_are_those_of_every_image_in_order_and_read_once(pictures, tmp_path, streaming):
    data = DataConfig(
        source="folder", path=str(pictures), streaming=streaming, validation_share=0.4
    )
    split = build(data).validation
    reader = Counting()
    first = read(tmp_path / "key", split, reader)
    asked = list(reader.sizes)
    again = read(tmp_path / "key", split, reader)
    assert asked == reader.sizes
    assert max(asked) <= 4
    assert len(first.labels) == sum(asked) > 4
    np.testing.assert_array_equal(first.values, again.values)
    np.testing.assert_array_equal(np.load(tmp_path / "key" / "features.npy"), first.values)
    if not streaming:
        expected = torch.stack([split[i]["pixel_values"].mean((1, 2)) for i in range(len(split))])
        np.testing.assert_allclose(first.values, expected, rtol=1e-6)
        assert first.labels.tolist() == split.labels.tolist()


def test_a_reader_that_fails_leaves_nothing_behind(pictures, tmp_path):
    split = build(DataConfig(source="folder", path=str(pictures))).validation
    asked = []

    def fails(pixel_values):
        asked.append(1)
        if len(asked) == 2:
            return torch.full((len(pixel_values), 3), float("nan"))
        return torch.zeros(len(pixel_values), 3)

    with pytest.raises(UserError, match="features of images 2 to 3 are not finite"):
        read(tmp_path / "cache" / "key", split, fails, batch_size=2)
    assert not list((tmp_path / "cache").iterdir())


def test_a_key_changes_with_weights_and_configuration_alone():
    first = fingerprint_of_model(tiny_model())
    assert fingerprint_of_model(tiny_model()) == first
    assert fingerprint_of_model(tiny_model(threshold=0.2)) != first
    other = tiny_model()
    with torch.no_grad():
        other.crate.stack.layers[0].compress.norm.bias[0] += 1e-6
    assert fingerprint_of_model(other) != first


def test_a_key_changes_with_the_files(tmp_path):
    root = write_folder(tmp_path / "set", {"cat": 2, "dog": 2})
    data = DataConfig(source="folder", path=str(root))
    first = fingerprint_of_data(data)
    assert fingerprint_of_data(DataConfig(source="folder", path=str(root), cache="off")) == first
    assert fingerprint_of_data(DataConfig(source="folder", path=str(root), limit=1)) != first
    os.utime(root / "cat" / "000.png", ns=(1, 1))
    assert fingerprint_of_data(data) != first


def test_a_branch_of_the_hub_has_no_key_because_it_moves():
    assert fingerprint_of_data(DataConfig(source="hub", path="nobody/nothing")) is None
    fixed = DataConfig(source="hub", path="nobody/nothing", revision="1f2e")
    assert fingerprint_of_data(fixed) == fingerprint_of_data(fixed)
