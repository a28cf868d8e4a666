"""Segment images with a model that was not trained for it: pictures, masks, boxes, scores."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

from whitebox_transformers.extras import require
from whitebox_transformers.report.canvas import save, styled
from whitebox_transformers.report.file_names import FileNames, folder_for
from whitebox_transformers.report.object_figures import draw_objects
from whitebox_transformers.segmentation.average_precision import CocoAnnotations
from whitebox_transformers.segmentation.batch import Batch
from whitebox_transformers.segmentation.encoder import load_encoder
from whitebox_transformers.segmentation.object_scores import ObjectScores, Truth
from whitebox_transformers.segmentation.objects import (
    MOST_PATCHES,
    MaskCutSettings,
    Objects,
    find_objects,
)
from whitebox_transformers.segmentation.reading import ImageRead, Reading, image_files
from whitebox_transformers.segmentation.scores import for_json
from whitebox_transformers.segmentation.shapes import rle_of
from whitebox_transformers.segmentation.truth import MaskFolder, MaskKind
from whitebox_transformers.training.files import write_json, write_whole
from whitebox_transformers.training.provenance import provenance


@dataclass(frozen=True)
class SegmentationResult:
    """What `segment` wrote and measured.

    Attributes:
        json: Settings, scores and provenance.
        objects: One line of JSON an image: masks as COCO's run lengths, and boxes.
        pictures: Folder of the pictures, or ``None``.
        scores: Between 0 and 1, by name; empty without masks or annotations.
        images: How many images were segmented.
        left_out: How many could not be used.
        reasons: The first of those.
    """

    json: Path
    objects: Path
    pictures: Path | None
    scores: dict[str, float]
    images: int
    left_out: int
    reasons: list[str]


def segment(
    run: str | Path,
    images: Sequence[str | Path],
    settings: MaskCutSettings | None = None,
    reading: Reading | None = None,
    masks: str | Path | None = None,
    mask_kind: MaskKind = "auto",
    coco: str | Path | None = None,
    out: str | Path | None = None,
    pictures: bool = True,
    device: str | None = None,
) -> SegmentationResult:
    """Find objects in images by MaskCut, draw them, and score them.

    One image is held at a time. One that cannot be used is left out, named and counted.

    Args:
        run: Run folder, model folder or hub name; CRATE, ViT, DeiT, DINOv2 or the like.
        images: Files and folders.
        settings: Of MaskCut.
        reading: Size at which images are read, and limits.
        masks: Folder with drawn masks, found by the names of the images.
        mask_kind: How their values are read.
        coco: File of COCO annotations.
        out: Folder to write; ``segmentation`` in the run folder if None, or here for a hub name.
        pictures: Write a picture an image.
        device: Where to compute, e.g. ``"cpu"``; an accelerator if there is one.

    Raises:
        UserError: A model, setting or file that cannot be used, or no usable image.
        MissingExtra: matplotlib, SciPy, Pillow, or for ``coco`` faster-coco-eval is missing.
    """
    for module in ("matplotlib", "PIL", "scipy"):
        require(module, extra="analysis")
    settings, reading = settings or MaskCutSettings(), reading or Reading()
    files = image_files(images)
    scores = ObjectScores(
        None if masks is None else MaskFolder(masks, mask_kind),
        None if coco is None else CocoAnnotations(coco),
    )
    scores.check(files)
    encoder = load_encoder(run, device)
    settings.check(encoder)
    batch = Batch(encoder, files, reading)
    batch.check_patches(MOST_PATCHES, "the graph of an image has a weight for every two patches")

    def look(image: ImageRead) -> tuple[Truth, Objects]:
        truth = scores.truth(image)  # before the work
        return truth, find_objects(encoder, image, settings)

    folder, names = folder_for(run, out, "segmentation"), FileNames()

    def write_lines(place: Path) -> None:
        with place.open("w", encoding="utf-8") as lines, styled():
            for image, (truth, found) in batch.each(look, "segmentation"):
                scores.add(truth, found)
                _write_line(lines, image, found)
                if pictures:
                    figure = draw_objects(
                        image.path.name, image.image, found.masks, found.boxes, found.first_round
                    )
                    save(figure, folder / "pictures" / f"{names.of(image.path)}.png")

    write_whole(folder / "objects.jsonl", write_lines)
    values = scores.values()
    record: dict[str, Any] = provenance() | {
        "model": str(run),
        "maskcut": settings.to_json(),
        "reading": asdict(reading),
        "masks": None if masks is None else str(masks),
        "coco": None if coco is None else str(coco),
        "scores": for_json(values),
    }
    write_json(folder / "segmentation.json", record | batch.to_json())
    return SegmentationResult(
        folder / "segmentation.json",
        folder / "objects.jsonl",
        folder / "pictures" if pictures else None,
        values,
        batch.used,
        batch.left_out,
        batch.reasons,
    )


def _write_line(lines: TextIO, image: ImageRead, found: Objects) -> None:
    objects = [
        {"box": list(box), "mask": rle_of(mask)}
        for box, mask in zip(found.boxes, found.masks, strict=True)
    ]
    lines.write(json.dumps({"image": str(image.path), "objects": objects}) + "\n")
