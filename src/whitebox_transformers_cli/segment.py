"""``wbt segment``: objects in images, by a model that was not trained to find any."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from whitebox_transformers_cli.image_reading import (
    LONGEST,
    MAX_PIXELS,
    AnyRun,
    Device,
    Facet,
    Images,
    KeepShape,
    Layer,
    Longest,
    MaskKind,
    Masks,
    MaxPixels,
    NoPictures,
    Out,
    Resolution,
    reading_of,
    say_left_out,
    score_text,
)

if TYPE_CHECKING:
    from whitebox_transformers.report.segment import SegmentationResult

NAMES = {
    "miou": "mIoU, best mask of each class",
    "first_iou": "IoU of the first mask",
    "max_f": "max-F of the first eigenvector",
    "box_ap": "box AP",
    "box_ap50": "box AP50",
    "box_ap75": "box AP75",
    "mask_ap": "mask AP",
    "mask_ap50": "mask AP50",
    "mask_ap75": "mask AP75",
}


def segment(
    run: AnyRun,
    images: Images,
    masks: Masks = None,
    mask_kind: MaskKind = "auto",
    coco: Annotated[
        Path | None, typer.Option("--coco", metavar="FILE", help="Annotations in COCO's format.")
    ] = None,
    objects: Annotated[
        int, typer.Option("--objects", min=1, help="Masks to look for, rounds of MaskCut.")
    ] = 3,
    layer: Layer = None,
    facet: Facet = "key",
    threshold: Annotated[
        float, typer.Option("--threshold", help="Patches more similar than this are joined.")
    ] = 0.15,
    similarity: Annotated[
        Literal["cosine", "inner"], typer.Option("--similarity", help="Of two patches.")
    ] = "cosine",
    resolution: Resolution = None,
    keep_shape: KeepShape = False,
    max_pixels: MaxPixels = MAX_PIXELS,
    longest: Longest = LONGEST,
    no_pictures: NoPictures = False,
    device: Device = None,
    out: Out = None,
) -> None:
    """Find objects by MaskCut: pictures, masks, boxes, and scores against what people drew.

    The model was never shown a mask. An image that cannot be used does not stop the others; the
    command then ends with status 1.
    """
    from whitebox_transformers.report.segment import segment as find
    from whitebox_transformers.segmentation.objects import MaskCutSettings

    settings = MaskCutSettings(
        objects, -1 if layer is None else layer - 1, facet, threshold, similarity
    )
    reading = reading_of(resolution, keep_shape, max_pixels, longest)
    result = find(
        run, images, settings, reading, masks, mask_kind, coco, out, not no_pictures, device
    )
    say_left_out(result.reasons, result.left_out)
    _say_scores(run, result)
    typer.echo(f"objects: {result.objects} ({result.images:,} images)")
    if result.pictures is not None:
        typer.echo(f"pictures: {result.pictures}")
    typer.echo(f"numbers: {result.json}")
    if result.left_out:
        raise typer.Exit(1)


def _say_scores(run: str, result: SegmentationResult) -> None:
    from whitebox_transformers_cli.tables import print_table

    if result.scores:
        rows = [(NAMES[key], score_text(value)) for key, value in result.scores.items()]
        print_table(f"{run}, {result.images:,} images", ("score", "value"), rows)
