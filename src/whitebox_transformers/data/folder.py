"""Image folders, with or without train/val/test above: a folder per class, or images at large."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import torch

from whitebox_transformers.data.columns import UNLABELLED
from whitebox_transformers.data.config import DataConfig
from whitebox_transformers.data.location import existing_folder, files_below
from whitebox_transformers.data.packed import PackedBytes
from whitebox_transformers.data.records import ImageSource, Record
from whitebox_transformers.data.seeding import permutation
from whitebox_transformers.data.splits import USUAL_NAMES, find_splits
from whitebox_transformers.errors import UserError

logger = logging.getLogger(__name__)

SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff")
    + (".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".avif")
)


class FolderSource:
    """Files and their class numbers; as a stream it permutes the files."""

    def __init__(self, paths: list[Path], labels: list[int]) -> None:
        self.paths = PackedBytes.of(os.fsencode(path) for path in paths)
        self.labels = torch.tensor(labels, dtype=torch.int64)

    def record(self, index: int) -> Record:
        path = Path(os.fsdecode(self.paths[index]))
        return Record(str(path), int(self.labels[index]), path)

    def records(self, seed: int | None) -> Iterator[Record]:
        order = range(len(self)) if seed is None else permutation(len(self), seed).tolist()
        return (self.record(index) for index in order)

    def __len__(self) -> int:
        return len(self.labels)


def open_folder(data: DataConfig) -> tuple[dict[str, ImageSource], list[str]]:
    """Sources by role, and the class names in sorted order (or as ``data.labels`` orders them).

    Raises:
        UserError: No class folders, only one, an empty one, or one that is unknown to the training
            split or to ``data.labels``; the folder is named.
    """
    root = existing_folder(data.path)
    if not data.labelled:
        return _open_unlabelled(root, data), [UNLABELLED]
    if _has_splits(root, data):
        roles = find_splits([folder.name for folder in _sub_folders(root)], data)
        folders = {role: root / name for role, name in roles.items()}
    else:
        folders = {"train": root}
    names = data.labels or _class_names(folders["train"])
    if len(names) < 2:
        raise UserError(
            f"{folders['train']} has one class only ({names[0]}); a classifier needs two or more"
        )
    return {role: _list_split(folder, names, role) for role, folder in folders.items()}, names


def _open_unlabelled(root: Path, data: DataConfig) -> dict[str, ImageSource]:
    """Every image below the folder, or below each of its splits."""
    named = data.train_split or data.validation_split or data.test_split
    folders = {"train": root}
    if named or any((root / name).is_dir() for name in USUAL_NAMES["train"]):
        roles = find_splits([folder.name for folder in _sub_folders(root)], data)
        folders = {role: root / name for role, name in roles.items()}
    sources: dict[str, ImageSource] = {}
    for role, folder in folders.items():
        files = list(files_below(folder))
        found = [path for path in files if path.suffix.lower() in SUFFIXES]
        if not found:
            raise UserError(f"{folder} holds no image; expected files such as .jpg and .png")
        if len(found) < len(files):
            ignored = next(path for path in files if path.suffix.lower() not in SUFFIXES)
            count = len(files) - len(found)
            logger.warning("%d files are no images and ignored, e.g. %s", count, ignored)
        sources[role] = FolderSource(found, [0] * len(found))
    return sources


def _has_splits(root: Path, data: DataConfig) -> bool:
    """Whether split folders lie above the classes.

    A folder called ``train`` that holds images itself is a class (of vehicles, say).
    """
    if data.train_split or data.validation_split or data.test_split:
        return True
    folders = [root / name for name in USUAL_NAMES["train"]]
    return any(f.is_dir() and _sub_folders(f) and not any(_images_in(f)) for f in folders)


def _class_names(folder: Path) -> list[str]:
    names = [sub.name for sub in _sub_folders(folder)]
    if not names:
        raise UserError(
            f"{folder} has no sub-folders; put the images of each class into a folder of its own"
        )
    return names


def _list_split(folder: Path, names: list[str], role: str) -> FolderSource:
    present = _class_names(folder)
    expected = names if role == "train" else present
    unknown = sorted(set(present) - set(names))
    if unknown:
        raise UserError(
            f"{folder} has the class {unknown[0]} that is not among the {len(names)} classes "
            f"{', '.join(names[:5])}{' ...' if len(names) > 5 else ''}; remove it or add it there"
        )
    paths, labels, empty, ignored = [], [], [], []
    for label, name in enumerate(names):
        found = []
        for path in files_below(folder / name):
            (found if path.suffix.lower() in SUFFIXES else ignored).append(path)
        if not found and name in expected:
            empty.append(name)
        paths += found
        labels += [label] * len(found)
    if empty:
        raise UserError(
            f"{len(empty)} class folder(s) hold no image: "
            f"{', '.join(str(folder / name) for name in empty[:5])}; add images or remove them"
        )
    if ignored:
        logger.warning("%d files are no images and ignored, e.g. %s", len(ignored), ignored[0])
    return FolderSource(paths, labels)


def _sub_folders(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def _images_in(folder: Path) -> Iterator[Path]:
    return (path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
