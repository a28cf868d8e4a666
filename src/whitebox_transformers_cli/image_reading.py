"""Options of the commands that read images at any resolution."""

from __future__ import annotations

from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from whitebox_transformers.segmentation.reading import Reading

AnyRun = Annotated[
    str,
    typer.Argument(metavar="RUN", help="Run folder, Hugging Face model folder, or hub name."),
]
Images = Annotated[
    list[Path], typer.Argument(metavar="IMAGES...", help="Image files, or folders of them.")
]
Resolution = Annotated[
    int | None,
    typer.Option(
        "--resolution",
        metavar="PIXELS",
        min=1,
        help="Side of the square that is read; 480, or 60 patches if that is less.",
    ),
]
KeepShape = Annotated[
    bool, typer.Option("--keep-shape", help="Read as many patches in the image's own shape.")
]
MaxPixels = Annotated[
    int, typer.Option("--max-pixels", min=1, help="Leave out images with more pixels.")
]
Longest = Annotated[
    float, typer.Option("--longest", min=1, help="Leave out images longer than so many to one.")
]
Layer = Annotated[int | None, typer.Option("--layer", metavar="L", help="Layer, from 1.", min=1)]
Facet = Annotated[
    Literal["key", "query", "value", "all"],
    typer.Option("--facet", help="What of the layer describes a patch; CRATE has one, u."),
]
Masks = Annotated[
    Path | None,
    typer.Option("--masks", metavar="FOLDER", help="Drawn masks, one named as each image."),
]
MaskKind = Annotated[
    Literal["auto", "foreground", "classes"],
    typer.Option("--mask-kind", help="Bright is the object, or VOC's class numbers."),
]
NoPictures = Annotated[bool, typer.Option("--no-pictures", help="Write numbers only.")]
Device = Annotated[str | None, typer.Option("--device", help="Where to compute, e.g. cpu.")]
Out = Annotated[Path | None, typer.Option("--out", help="Folder to write.")]
MAX_PIXELS = 80_000_000
LONGEST = 8.0


def reading_of(
    resolution: int | None, keep_shape: bool, max_pixels: int, longest: float
) -> Reading:
    """The options as the library takes them."""
    from whitebox_transformers.segmentation.reading import Reading

    return Reading(resolution, keep_shape, max_pixels, longest)


def score_text(value: float) -> str:
    """A score for people; NaN where nobody drew anything in the images that were used."""
    return "nothing drawn" if isnan(value) else f"{value:.3f}"


def say_left_out(reasons: list[str], count: int) -> None:
    """Name what could not be used on standard error, and how many there were."""
    for reason in reasons:
        typer.echo(f"left out: {reason}", err=True)
    if count > len(reasons):
        typer.echo(f"left out: {count - len(reasons)} more", err=True)
