"""Small image sets made on the spot."""

import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from whitebox_transformers.data import AugmentConfig, DataConfig, build_datasets, build_processor


def picture(seed: int, height: int = 9, width: int = 12) -> Image.Image:
    """Noise whose first pixels tell its seed, so that no two images are equal."""
    return Image.fromarray(
        np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    )


def encoded(seed: int, kind: str = "PNG", **size: int) -> bytes:
    file = io.BytesIO()
    picture(seed, **size).save(file, kind)
    return file.getvalue()


def write_folder(root: Path, counts: dict[str, int], first_seed: int = 0) -> Path:
    """``counts`` images in each class folder; sizes vary."""
    seed = first_seed
    for name, count in counts.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            picture(seed, 8 + seed % 5, 8 + seed % 7).save(root / name / f"{number:03}.png")
            seed += 1
    return root


def write_parquet(
    path: Path,
    images: list[bytes | None],
    labels: list[int | None],
    names: list[str] | None = None,
    group: int = 7,
) -> Path:
    """A file as the ``datasets`` library writes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cells = [{"bytes": image, "path": None} for image in images]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table({"image": pa.array(cells, kind), "label": pa.array(labels, pa.int64())})
    features = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": names}}
    if names:
        info = json.dumps({"info": {"features": features}})
        table = table.replace_schema_metadata({"huggingface": info})
    pq.write_table(table, path, row_group_size=group)
    return path


def build(data: DataConfig, augment: AugmentConfig | None = None, size=8, channels=3, seed=0):
    processor = build_processor(data, size, channels)
    return build_datasets(data, augment or AugmentConfig(), processor, seed)


@pytest.fixture
def two_classes(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "set", {"cat": 20, "dog": 30})
