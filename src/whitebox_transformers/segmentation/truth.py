"""What people drew: masks in a folder, one file an image.

Legend: H, W height and width of an image in pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from whitebox_transformers.data.faults import Fault
from whitebox_transformers.data.folder import SUFFIXES
from whitebox_transformers.data.location import files_below
from whitebox_transformers.data.records import Record, decode
from whitebox_transformers.errors import UserError
from whitebox_transformers.segmentation.reading import MOST_PIXELS

if TYPE_CHECKING:
    from PIL.Image import Image

MaskKind = Literal["auto", "foreground", "classes"]
"""``foreground``: brighter than half of the brightest is the object. ``classes``: numbers as in
VOC, 0 is background and 255 is left out. ``auto``: classes if the file has a palette and more than
two colours, else foreground."""

VOID = -1
_VOC_VOID = 255


class MaskFolder:
    """Masks by the name of their image: ``horse.png`` belongs to ``horse.jpg``.

    Args:
        folder: Searched with its sub-folders.
        kind: How values are read.

    Raises:
        UserError: No such folder, no masks in it, or two of the same name.
    """

    def __init__(self, folder: str | Path, kind: MaskKind = "auto") -> None:
        if kind not in get_args(MaskKind):
            known = ", ".join(get_args(MaskKind))
            raise UserError(f"kind of masks {kind!r} is not known; choose from {known}")
        root = Path(folder).expanduser()
        if not root.is_dir():
            raise UserError(f"{folder} is no folder; give the folder that holds the masks")
        self.folder = str(folder)
        self.kind: MaskKind = kind
        self.files: dict[str, Path] = {}
        for path in files_below(root):
            if path.suffix.lower() not in SUFFIXES:
                continue
            if path.stem in self.files:
                raise UserError(
                    f"{self.files[path.stem]} and {path} are masks of the same name; keep one, "
                    "since masks are found by the name of their image"
                )
            self.files[path.stem] = path
        if not self.files:
            raise UserError(f"{folder} holds no masks; a mask is an image file, e.g. horse.png")

    def check(self, images: Sequence[Path]) -> None:
        """Refuse images of which not one has a mask.

        Raises:
            UserError: Naming the first of them.
        """
        if not any(path.stem in self.files for path in images):
            raise UserError(
                f"{self.folder} has no mask for any of the images; for {images[0].name} a file "
                f"{images[0].stem}.png is expected"
            )

    def of(self, image: Path, size: tuple[int, int]) -> np.ndarray:
        """The mask of an image.

        Args:
            image: Its file.
            size: Its H and W.

        Returns:
            (H, W) int64: 0 background, 1, 2, ... what there is, -1 what does not count.

        Raises:
            Fault: There is none, it cannot be read, or it has another size.
        """
        path = self.files.get(image.stem)
        if path is None:
            raise Fault(str(image), f"no mask called {image.stem} in {self.folder}")
        mask = decode(Record(str(path), -1, path), lambda image: image, MOST_PIXELS, limit=None)
        if (mask.height, mask.width) != size:
            raise Fault(
                str(path),
                f"{mask.width} x {mask.height} pixels, but its image has {size[1]} x {size[0]}",
            )
        return _labels(mask, self.kind)


def _labels(mask: Image, kind: MaskKind) -> np.ndarray:
    colors = mask.getcolors(2) if mask.mode == "P" else None
    if kind == "classes" or (kind == "auto" and mask.mode == "P" and colors is None):
        values = np.asarray(
            mask if mask.mode in ("P", "L", "I", "I;16", "1") else mask.convert("L")
        )
        labels = values.astype(np.int64)
        labels[labels == _VOC_VOID] = VOID
        return labels
    if mask.mode in ("1", "L", "I", "F") or mask.mode.startswith("I;16"):
        values = np.asarray(mask).astype(np.float64)
    else:
        values = np.asarray(mask.convert("RGB")).max(-1).astype(np.float64)
    return (values > values.max() / 2).astype(np.int64)
