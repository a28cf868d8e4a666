"""Class-agnostic average precision of masks and their boxes against COCO annotations."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from whitebox_transformers.data.faults import Fault
from whitebox_transformers.errors import UserError
from whitebox_transformers.extras import require
from whitebox_transformers.segmentation.shapes import box_of, rle_of

ANY = 1
"""The one category that all annotations are put into."""
SCORE = 1.0
"""MaskCut says nothing of how sure it is; ties are broken by the order of its rounds."""


class CocoAnnotations:
    """Objects that people outlined, and the masks that are held against them.

    Memory grows with the annotation file and by the run lengths of the masks found.

    Args:
        file: Annotations in COCO's format; images are found by file name, and by folder where
            several have the same. Categories are ignored; crowds are treated as COCO does.

    Raises:
        UserError: No such file, or not in this format.
        MissingExtra: faster-coco-eval is not installed.
    """

    def __init__(self, file: str | Path) -> None:
        self.api = require("faster_coco_eval", extra="segment")
        self.codec = require("faster_coco_eval.core.mask", extra="segment")
        self.file, content = str(file), _read(file)
        self.images: list[dict[str, Any]] = content["images"]
        self.by_name: dict[str, list[dict[str, Any]]] = {}
        for entry in self.images:
            self.by_name.setdefault(Path(entry["file_name"]).name, []).append(entry)
        self.annotations = content["annotations"]
        self.asked: dict[int, Path] = {}
        self.met: list[int] = []
        self.found: list[dict[str, Any]] = []

    def check(self, images: Sequence[Path]) -> None:
        """Refuse images of which not one is annotated.

        Raises:
            UserError: Naming the first of them.
        """
        if not any(path.name in self.by_name for path in images):
            first = self.images[0]["file_name"] if self.images else "nothing: it has no images"
            raise UserError(
                f"{self.file} knows none of the images, e.g. {images[0].name}; its `file_name`s "
                f"look like {first}"
            )

    def expects(self, image: Path, size: tuple[int, int]) -> int:
        """The id of an image.

        Args:
            image: Its file.
            size: Its height and width.

        Raises:
            Fault: It is not annotated, was annotated in another size, may be one of several
                images, or another file was taken for the same one.
        """
        entry = self._entry(image)
        stated = (entry.get("height", size[0]), entry.get("width", size[1]))
        if stated != size:
            raise Fault(
                str(image),
                f"{size[1]} x {size[0]} pixels, but {self.file} says {stated[1]} x {stated[0]}",
            )
        before = self.asked.setdefault(entry["id"], image)
        if before != image:
            raise Fault(str(image), f"stands for the same image of {self.file} as {before}")
        return entry["id"]

    def _entry(self, image: Path) -> dict[str, Any]:
        """What the file says of an image: of those of its name the one in folders of its name."""
        entries = self.by_name.get(image.name, [])
        if len(entries) > 1:
            parts = image.absolute().parts
            entries = [
                entry
                for entry in entries
                if (stated := Path(entry["file_name"]).parts) == parts[-len(stated) :]
            ]
            # "1.jpg" fits whatever folder it is in; "val/1.jpg" fits better.
            depth = max((len(Path(entry["file_name"]).parts) for entry in entries), default=0)
            entries = [e for e in entries if len(Path(e["file_name"]).parts) == depth]
        if not entries:
            raise Fault(str(image), f"not among the images of {self.file}")
        if len(entries) > 1:
            raise Fault(str(image), f"{len(entries)} images of {self.file} have this file_name")
        return entries[0]

    def add(self, image_id: int, masks: Sequence[np.ndarray]) -> None:
        """Take up the masks found in an image, each (height, width) bool, the best first."""
        self.met.append(image_id)
        for mask in masks:
            rle = rle_of(mask)
            self.found.append(
                {
                    "image_id": image_id,
                    "category_id": ANY,
                    "segmentation": self.codec.frPyObjects(rle, *rle["size"]),
                    "bbox": list(box_of(mask) or ()),
                    "score": SCORE,
                }
            )

    def scores(self) -> dict[str, float]:
        """``box_ap``, ``box_ap50``, ``box_ap75`` and the same for ``mask``, between 0 and 1.

        AP is the mean over overlaps from 0.5 to 0.95, with at most 100 masks an image. NaN where
        the images have no annotation.
        """
        met = set(self.met)
        annotations = [a for a in self.annotations if a["image_id"] in met]
        if not any(not a.get("iscrowd", 0) for a in annotations):
            names = [f"{kind}_{key}" for kind in ("box", "mask") for key in ("ap", "ap50", "ap75")]
            return dict.fromkeys(names, float("nan"))
        truth = self.api.COCO(
            {
                "images": [image for image in self.images if image["id"] in met],
                "categories": [{"id": ANY, "name": "object"}],
                "annotations": [
                    {"id": index, "area": _area(a), "iscrowd": 0}
                    | {k: v for k, v in a.items() if k not in ("id", "category_id")}
                    | {"category_id": ANY}
                    for index, a in enumerate(annotations, start=1)
                ],
            }
        )
        scores: dict[str, float] = {}
        for kind, measure in (("box", "bbox"), ("mask", "segm")):
            if kind == "mask" and not all(a.get("segmentation") for a in annotations):
                found = [float("nan")] * 3
            elif not self.found:
                found = [0.0] * 3
            else:
                found = self._evaluated(truth, measure)
            keys = (f"{kind}_ap", f"{kind}_ap50", f"{kind}_ap75")
            scores |= dict(zip(keys, map(float, found), strict=True))
        return scores

    def _evaluated(self, truth: Any, measure: str) -> Sequence[float]:
        def silent(*_: object) -> None:
            """The evaluator's own table is not printed."""

        evaluation = self.api.COCOeval_faster(
            truth, truth.loadRes([dict(one) for one in self.found]), measure, print_function=silent
        )
        for step in (evaluation.evaluate, evaluation.accumulate, evaluation.summarize):
            step()
        return evaluation.stats[:3]


def _area(annotation: dict[str, Any]) -> float:
    """For files that leave it out: that of the box, by which COCO sorts objects into sizes."""
    *_, width, height = annotation.get("bbox") or (0, 0)
    return float(width * height)


def _read(file: str | Path) -> dict[str, Any]:
    path = Path(file).expanduser()
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}; give a COCO file") from error
    except ValueError as error:
        raise UserError(f"{file} is no JSON file ({error}); give COCO annotations") from error
    wanted = {"images": ("id", "file_name"), "annotations": ("image_id", "bbox")}
    for key, fields in wanted.items():
        rows = content.get(key) if isinstance(content, dict) else None
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise UserError(f"{file} has no list {key!r}; expected annotations in COCO's format")
        for row in rows:
            missing = [name for name in fields if name not in row]
            if missing:
                raise UserError(
                    f"{file}: an entry of {key!r} lacks {missing[0]!r}; expected COCO's format"
                )
    return content
