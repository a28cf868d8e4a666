"""Features of a split, read in one pass into files and mapped from there.

Shapes: M images, D width.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from tqdm import tqdm

from whitebox_transformers.data.loading import evaluation_batches
from whitebox_transformers.data.protocol import Split
from whitebox_transformers.errors import UserError
from whitebox_transformers.training.files import write_json

Piece = tuple[np.ndarray, np.ndarray]
"""Features (B, D) and classes (B,)."""

FEATURES, LABELS, ABOUT = "features.npy", "labels.npy", "about.json"


@dataclass(frozen=True)
class Features:
    """Features of a split, mapped from disk."""

    values: np.ndarray
    """(M, D) float32."""
    labels: np.ndarray
    """Classes (M,) int64."""
    folder: Path
    """Holds both, as ``.npy`` files that ``numpy.load`` reads."""


def read_features(
    folder: Path,
    split: Split,
    read: Callable[[torch.Tensor], torch.Tensor],
    about: dict[str, Any],
    batch_size: int,
    device: torch.device,
    title: str,
) -> Features:
    """Features of all images of a split: those of the folder, if it is there, or read now.

    Args:
        folder: Named by all that the features depend on; it is there whole or not at all.
        split: As evaluation sees it.
        read: From images (B, C, H, W) on ``device`` to features (B, D).
        about: What the features are of, stored beside them for people.
        batch_size: Images at a time: all that is held in memory.
        device: Where images go.
        title: For the progress bar and messages.

    Raises:
        UserError: There is no image, features are not finite, or the disk does not take them.
    """

    def pieces() -> Iterator[Piece]:
        loader = evaluation_batches(split, batch_size)
        for batch in tqdm(loader, desc=title, unit="batch", leave=False, delay=1):
            yield read(batch["pixel_values"].to(device)).cpu().numpy(), batch["labels"].numpy()

    return stored_features(folder, pieces, about, title)


def stored_features(
    folder: Path, pieces: Callable[[], Iterable[Piece]], about: dict[str, Any], title: str
) -> Features:
    """Features of the folder, if it is there, or else those of ``pieces``, put there.

    Other arguments and errors as of :func:`read_features`.
    """
    if not (folder / ABOUT).is_file():
        draft = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
        try:
            draft.mkdir(parents=True)
            rows = _write(draft, pieces(), title)
            write_json(draft / ABOUT, about | {"images": rows})
            shutil.rmtree(folder, ignore_errors=True)
            os.replace(draft, folder)
        except OSError as error:
            raise UserError(
                f"{folder}: features cannot be written: {error.strerror or error}; make room or "
                "give another folder with --cache"
            ) from error
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    values = np.load(folder / FEATURES, mmap_mode="r")
    return Features(values, np.load(folder / LABELS), folder)


def _write(draft: Path, pieces: Iterable[Piece], title: str) -> int:
    labels: list[np.ndarray] = []
    width = rows = 0
    with (draft / FEATURES).open("wb") as file:
        for values, classes in pieces:
            if not np.isfinite(values).all():
                raise UserError(
                    f"{title}: features of images {rows} to {rows + len(values) - 1} are not "
                    "finite; look for NaN in the images or in the weights"
                )
            if not rows:
                width = values.shape[1]
                _write_header(file, rows, width)
            file.write(values.astype("<f4").tobytes())
            labels.append(classes)
            rows += len(values)
        if not rows:
            raise UserError(f"{title}: the split holds no image; nothing to probe")
        file.seek(0)
        _write_header(file, rows, width)
    np.save(draft / LABELS, np.concatenate(labels))
    return rows


def _write_header(file: BinaryIO, rows: int, width: int) -> None:
    """The header of a ``.npy`` file, which keeps room for any number of rows."""
    shape = {"descr": "<f4", "fortran_order": False, "shape": (rows, width)}
    np.lib.format.write_array_header_1_0(file, shape)
