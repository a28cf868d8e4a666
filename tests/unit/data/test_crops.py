"""Views of an image: as many as asked for, in their sizes, a function of seed, epoch and image."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from tests.unit.data.conftest import write_folder

from whitebox_transformers.data import DataConfig, build_datasets, build_processor
from whitebox_transformers.data.crops import CropsConfig, GaussianBlur, MultiCropView
from whitebox_transformers.data.loading import training_batches

STILL = {"flip": 0.0, "jitter": 0.0, "grey": 0.0, "blur": [0.0, 0.0, 0.0], "solarise": 0.0}


def splits(folder, crops, seed=0, **data):
    config = DataConfig(source="folder", path=str(folder), **data)
    processor = build_processor(config, 8, 3)
    return build_datasets(config, MultiCropView(processor, crops), processor, seed)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("set"), {"cat": 12, "dog": 12})


def test_a_sample_is_all_views_and_follows_from_its_key(pictures):
    crops = CropsConfig(local_crops=5, local_size=4)
    train = splits(pictures, crops).train
    sample = train[(3, 2)]
    assert sample["pixel_values"].shape == (2, 3, 8, 8)
    assert sample["local_pixel_values"].shape == (5, 3, 4, 4)
    again = splits(pictures, crops).train
    torch.manual_seed(5)
    again[(0, 0)]
    for name in ("pixel_values", "local_pixel_values"):
        assert torch.equal(sample[name], again[(3, 2)][name])
        assert not torch.equal(sample[name], train[(4, 2)][name])
        assert not torch.equal(sample[name], train[(3, 1)][name])
        assert not torch.equal(sample[name], splits(pictures, crops, seed=1).train[(3, 2)][name])
    assert not torch.equal(sample["pixel_values"][0], sample["pixel_values"][1])


def test_batches_are_the_same_for_any_workers_and_evaluation_sees_whole_images(pictures):
    crops = CropsConfig(local_crops=2, local_size=4)
    data = splits(pictures, crops)
    for plain, helped in zip(
        training_batches(data.train, 4, epoch=1),
        training_batches(data.train, 4, epoch=1, workers=2),
        strict=True,
    ):
        assert plain["pixel_values"].shape == (4, 2, 3, 8, 8)
        for name in plain:
            assert torch.equal(plain[name], helped[name])
    assert data.validation[0]["pixel_values"].shape == (3, 8, 8)
    assert data.train_plain[0]["pixel_values"].shape == (3, 8, 8)


def test_a_stream_has_the_views_too(pictures):
    crops = CropsConfig(local_crops=2, local_size=4)
    data = splits(pictures, crops, streaming=True)
    batch = next(iter(training_batches(data.train, 4, epoch=0)))
    assert batch["pixel_values"].shape == (4, 2, 3, 8, 8)
    assert batch["local_pixel_values"].shape == (4, 2, 3, 4, 4)


def test_without_local_views_there_is_no_such_key(pictures):
    sample = splits(pictures, CropsConfig(local_crops=0)).train[(0, 0)]
    assert "local_pixel_values" not in sample


def view(image: np.ndarray, **crops):
    processor = build_processor(DataConfig(mean=[0.0] * 3, std=[1.0] * 3), image.shape[0], 3)
    settings = {"local_size": 4, "local_crops": 3, **STILL, **crops}
    return MultiCropView(processor, CropsConfig(**settings))(Image.fromarray(image), (0, 0, 0))


def test_views_show_as_much_of_the_image_as_asked():
    """On an image whose values are its columns, the share of the width can be read off."""
    columns = np.broadcast_to(np.arange(128, dtype=np.uint8)[None, :, None], (128, 128, 3)).copy()
    square = {"ratio": [1.0, 1.0]}
    seen = view(columns, global_scale=[0.25, 0.25], local_scale=[0.0625, 0.0625], **square)
    for name, share in (("pixel_values", 0.5), ("local_pixel_values", 0.25)):
        for one in seen[name]:
            width = (one[0, 0, -1] - one[0, 0, 0]) * 255 / 128
            cells = one.shape[-1]
            assert float(width) == pytest.approx(share * (cells - 1) / cells, abs=0.03)


def test_only_the_first_global_view_is_spared_the_negative():
    grey = np.full((16, 16, 3), 200, dtype=np.uint8)
    seen = view(grey, solarise=1.0, global_crops=3)
    means = [round(float(one.mean()) * 255) for one in seen["pixel_values"]]
    assert means == [200, 55, 55]
    assert {round(float(one.mean()) * 255) for one in seen["local_pixel_values"]} == {200}


def test_each_kind_of_view_is_blurred_as_often_as_asked():
    board = np.indices((16, 16)).sum(0)[..., None].repeat(3, -1) % 2 * 255
    whole = {"global_scale": [1.0, 1.0], "ratio": [1.0, 1.0]}
    seen = view(board.astype(np.uint8), blur=[1.0, 0.0, 0.0], **whole)["pixel_values"]
    assert seen[1].unique().tolist() == [0.0, 1.0]
    assert 0 < seen[0].std() < seen[1].std()


def test_a_blur_leaves_the_mean():
    values = np.indices((32, 32)).sum(0) % 2 * 200
    blurred = np.asarray(GaussianBlur(1.0)(Image.fromarray(values.astype(np.uint8)))).astype(float)
    assert blurred.std() < values.std()
    assert blurred.mean() == pytest.approx(values.mean(), rel=0.05)
