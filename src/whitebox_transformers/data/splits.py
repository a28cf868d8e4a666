"""Training, validation and test: which images belong to which."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

import torch

from whitebox_transformers.data.config import DataConfig
from whitebox_transformers.data.records import ImageSource, Record
from whitebox_transformers.data.seeding import seed_of
from whitebox_transformers.errors import UserError

USUAL_NAMES = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing"),
}


class SplitNames(Protocol):
    """The keys of a ``data:`` block that name splits."""

    @property
    def source(self) -> str: ...

    @property
    def path(self) -> str | list[str] | None: ...

    @property
    def train_split(self) -> str | None: ...

    @property
    def validation_split(self) -> str | None: ...

    @property
    def test_split(self) -> str | None: ...


class Selection:
    """Some images of a source, in a given order."""

    def __init__(self, source: ImageSource, indices: torch.Tensor) -> None:
        self.source = source
        self.indices = indices  # (images,) int64
        self.labels = source.labels[indices]

    def record(self, index: int) -> Record:
        return self.source.record(int(self.indices[index]))

    def __len__(self) -> int:
        return len(self.indices)


def find_splits(available: Iterable[str], data: SplitNames) -> dict[str, str]:
    """Which of the available names serve as train, validation and test; absent ones are left out.

    Raises:
        UserError: A split named in the recipe does not exist, or there is no training split.
    """
    available = list(available)
    asked = {role: getattr(data, f"{role}_split") for role in USUAL_NAMES}
    found = {}
    for role, name in asked.items():
        if name is not None and name not in available:
            raise UserError(
                f"data.{role}_split={name} does not exist in {data.path or data.source}; "
                f"found: {', '.join(available) or 'nothing'}"
            )
        free = [usual for usual in USUAL_NAMES[role] if usual not in asked.values()]
        name = name or next((usual for usual in free if usual in available), None)
        if name is not None:
            found[role] = name
    if "train" not in found:
        raise UserError(
            f"{data.path or data.source} has no training split among {', '.join(available)}; "
            f"name it with data.train_split"
        )
    return found


def files_by_split(root: Path, suffix: str) -> dict[str, list[Path]]:
    """The files of a folder by the splits that their names tell.

    ``train-00000-of-00002.parquet``, ``train.parquet`` or ``train/anything.parquet``, say.

    Folders named ``data`` do not count, and files without a name of a split are training files.
    """
    files: dict[str, list[Path]] = {}
    for path in sorted(root.rglob(f"*{suffix}")):
        above = [part for part in path.relative_to(root).parts[:-1] if part != "data"]
        stem = re.split(r"[^A-Za-z_]", path.stem, maxsplit=1)[0]
        files.setdefault(above[-1] if above else stem or "train", []).append(path)
    return files


def carve(labels: torch.Tensor, share: float, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Divide images class by class; each class keeps at least one image if it has two or more.

    Args:
        labels: (images,) int64.
        share: What to carve, of each class; rounded, at least one image unless it is 0.
        seed: The same seed gives the same division.

    Returns:
        Indices kept and indices carved, both sorted, (kept,) and (carved,) int64.
    """
    generator = torch.Generator().manual_seed(seed_of("carve", seed))
    kept, carved = [], []
    for label in labels.unique(sorted=True):
        members = (labels == label).nonzero().flatten()
        members = members[torch.randperm(len(members), generator=generator)]
        count = min(max(round(share * len(members)), 1), len(members) - 1) if share else 0
        carved.append(members[:count])
        kept.append(members[count:])
    return torch.cat(kept).sort().values, torch.cat(carved).sort().values


def split_source(sources: dict[str, ImageSource], data: DataConfig) -> dict[str, ImageSource]:
    """Train, validation and test, carved from train where they do not exist.

    Raises:
        UserError: The training split is too small to carve from.
    """
    splits = dict(sources)
    shares = {"test": data.test_share, "validation": data.validation_share}
    for role, share in shares.items():
        if role in splits:
            continue
        train = splits["train"]
        kept, carved = carve(train.labels, share, data.split_seed + (role == "validation"))
        if not len(carved):
            raise UserError(
                f"no {role} images: {data.path or data.source} has no such split, and "
                f"data.{role}_share={share} of {len(train)} training images leaves none; "
                f"add a split or raise the share"
            )
        splits["train"], splits[role] = Selection(train, kept), Selection(train, carved)
    if data.limit is not None:
        splits = {role: _limited(source, data) for role, source in splits.items()}
    return splits


def _limited(source: ImageSource, data: DataConfig) -> ImageSource:
    generator = torch.Generator().manual_seed(seed_of("limit", data.split_seed))
    order = torch.randperm(len(source), generator=generator)
    return Selection(source, order[: data.limit].sort().values)
