"""Folders of images without classes, for tasks that learn without labels."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from whitebox_transformers.crate.image_processing_crate import CrateImageProcessor
from whitebox_transformers.data.build import build_datasets
from whitebox_transformers.data.config import AugmentConfig, DataConfig
from whitebox_transformers.data.masks import MaskNoise
from whitebox_transformers.errors import UserError
from whitebox_transformers.training.recipe import recipe_from_dict

from .conftest import encoded, write_parquet


def write(folder, count: int, seed: int = 0) -> None:
    folder.mkdir(parents=True)
    draw = np.random.default_rng(seed)
    for number in range(count):
        pixels = draw.integers(0, 256, (10, 12, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")


def build(path, source="folder", **keys):
    data = DataConfig(source=source, path=str(path), labelled=False, **keys)
    processor = CrateImageProcessor(size={"shortest_edge": 8}, crop_size={"height": 8, "width": 8})
    return build_datasets(data, AugmentConfig(), processor, 0, MaskNoise(4))


def names(split) -> set[str]:
    return {split.name(index) for index in range(len(split))}


def test_every_image_is_taken_wherever_it_lies_and_carved_once(tmp_path):
    write(tmp_path / "images", 12)
    write(tmp_path / "images" / "more" / "deeper", 8, seed=1)
    (tmp_path / "images" / "notes.txt").write_text("no image")
    data = build(tmp_path / "images", validation_share=0.25, test_share=0.2)
    splits = [names(split) for split in (data.train, data.validation, data.test)]
    assert [len(found) for found in splits] == [12, 4, 4]
    assert len(set.union(*splits)) == 20
    assert set(data.train[0]) == {"pixel_values", "noise"}


def test_split_folders_are_kept(tmp_path):
    for seed, (split, count) in enumerate((("train", 6), ("val", 3), ("test", 2))):
        write(tmp_path / split, count, seed)
    data = build(tmp_path)
    assert [len(split) for split in (data.train, data.validation, data.test)] == [6, 3, 2]
    assert all("/val/" in name for name in names(data.validation))


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("source", ["parquet", "hub"])
def test_tables_need_no_column_of_labels(source, streaming, tmp_path):
    for split, count in (("train", 10), ("test", 4)):
        file = tmp_path / "set" / f"{split}.parquet"
        write_parquet(file, [encoded(seed) for seed in range(count)], [0] * count)
        pq.write_table(pq.read_table(file).select(["image"]), file)
    data = build(tmp_path / "set", source, streaming=streaming, validation_share=0.2)
    batch = next(iter(data.train.batches(4))) if streaming else data.train[0]
    assert set(batch) == {"pixel_values", "noise"}
    assert torch.isfinite(batch["pixel_values"]).all()
    assert data.labels == ["image"]


def test_streamed(tmp_path):
    write(tmp_path / "images", 30)
    data = build(tmp_path / "images", streaming=True, validation_share=0.3)
    batch = next(iter(data.train.batches(4)))
    assert batch["pixel_values"].shape == (4, 3, 8, 8)
    assert batch["noise"].shape == (4, 4)


def test_what_needs_classes_or_has_none_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="empty holds no image"):
        build(tmp_path / "empty")
    with pytest.raises(UserError, match="a classifier learns from classes"):
        recipe_from_dict(
            {
                "name": "bad",
                "data": {"source": "folder", "path": str(tmp_path), "labelled": False},
                "train": {"epochs": 1},
            }
        )
    with pytest.raises(UserError, match="the digits have labels"):
        DataConfig(labelled=False)
