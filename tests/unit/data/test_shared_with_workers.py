"""Worker processes read a data set where it lies: none gets a copy, forked or spawned.

A forked process copies a page of memory when it writes to it, which Python does to an object by
merely looking at it, since it counts references; it does not do so to the numbers of a tensor. So a
data set may not hold an object per sample. A spawned process gets what is pickled, and tensors are
handed on by their place.
"""

from __future__ import annotations

import gc
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import numpy as np
import pytest
import torch
import torch.multiprocessing  # noqa: F401  teaches the pickler to hand tensors on
from tests.unit.data.conftest import encoded, write_parquet

from whitebox_transformers.data import DataConfig
from whitebox_transformers.data.folder import FolderSource
from whitebox_transformers.data.images import DecodedImages
from whitebox_transformers.data.parquet import open_parquet
from whitebox_transformers.data.text.causal import CausalBlocks
from whitebox_transformers.data.text.corpus import Corpus


def folder(count: int, _: Path) -> FolderSource:
    return FolderSource([Path(f"/images/{i:06}.jpg") for i in range(count)], [0] * count)


def pixels(count: int, _: Path) -> DecodedImages:
    return DecodedImages([np.full((12, 12, 3), i % 256, np.uint8) for i in range(count)], "fitted")


def parquet(count: int, place: Path) -> Any:
    image = encoded(0, height=2, width=2)
    write_parquet(place / str(count) / "train.parquet", [image] * count, [0, 1] * (count // 2))
    sources, _ = open_parquet(DataConfig(source="parquet", path=str(place / str(count))))
    return sources["train"]


def text(count: int, _: Path) -> CausalBlocks:
    ids = torch.arange(100 * count, dtype=torch.int32) % 1000
    starts = torch.arange(0, len(ids), 100)
    corpus = Corpus(ids, starts, torch.ones_like(starts), len(ids))
    return CausalBlocks(corpus, 100, seed=0, moving=True, cross_documents=False)


def objects(data: Any) -> int:
    """How many Python objects are reachable from the data, without code."""
    seen, waiting = {}, [data]
    while waiting:
        one = waiting.pop()
        if id(one) not in seen and not isinstance(one, type | ModuleType | FunctionType):
            seen[id(one)] = one
            waiting += gc.get_referents(one)
    return len(seen)


@pytest.mark.parametrize("build", [folder, pixels, parquet, text])
def test_no_object_per_sample_and_no_copy_to_hand_on(build, tmp_path):
    small, large = build(20, tmp_path), build(2000, tmp_path)
    assert abs(objects(large) - objects(small)) < 20
    assert abs(len(ForkingPickler.dumps(large)) - len(ForkingPickler.dumps(small))) < 200
