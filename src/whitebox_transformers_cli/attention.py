"""``wbt attention``: where the class token looks, at any resolution."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from whitebox_transformers_cli.image_reading import (
    LONGEST,
    MAX_PIXELS,
    AnyRun,
    Device,
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
    from whitebox_transformers.report.attention import AttentionResult

MASS = 0.6
NAMES = {
    "best_head_miou": "mIoU, best head of each class and image",
    "one_head_iou": "IoU of the one best head",
    "max_f": "max-F of the mean over heads",
}


def attention(
    run: AnyRun,
    images: Images,
    layer: Layer = None,
    head: Annotated[
        list[int] | None,
        typer.Option("--head", metavar="H", min=1, help="Head, from 1, may be repeated; all."),
    ] = None,
    mass: Annotated[
        float | None,
        typer.Option(
            "--mass", metavar="SHARE", help="Draw masks that keep this share of the attention."
        ),
    ] = None,
    masks: Masks = None,
    mask_kind: MaskKind = "auto",
    noise: Annotated[
        list[float] | None,
        typer.Option(
            "--noise", metavar="STD", help="Compare with noise of this deviation, of 255."
        ),
    ] = None,
    noise_share: Annotated[
        float, typer.Option("--noise-share", help="Share of the pixels that have noise.")
    ] = 1.0,
    seed: Annotated[int, typer.Option("--seed", help="Of the noise.")] = 0,
    resolution: Resolution = None,
    keep_shape: KeepShape = False,
    max_pixels: MaxPixels = MAX_PIXELS,
    longest: Longest = LONGEST,
    no_pictures: NoPictures = False,
    device: Device = None,
    out: Out = None,
) -> None:
    """Draw the class token's attention, head by head.

    The last layer but one of a white box, the last of a black box, if nothing is said. With
    --masks: which heads agree with what people drew. With --noise: how much maps change under it.
    """
    from whitebox_transformers.report.attention import AttentionSettings, show_attention
    from whitebox_transformers.segmentation.attention_masks import PixelNoise

    settings = AttentionSettings(
        None if layer is None else layer - 1,
        None if not head else tuple(number - 1 for number in head),
        MASS if mass is None else mass,
        mass is not None,
        tuple(PixelNoise(std, noise_share, seed) for std in noise or ()),
    )
    reading = reading_of(resolution, keep_shape, max_pixels, longest)
    result = show_attention(
        run, images, settings, reading, masks, mask_kind, out, not no_pictures, device
    )
    say_left_out(result.reasons, result.left_out)
    _say_scores(run, result)
    if result.pictures is not None:
        typer.echo(f"pictures: {result.pictures} (layer {result.layer + 1})")
    typer.echo(f"numbers: {result.json}")
    if result.left_out:
        raise typer.Exit(1)


def _say_scores(run: str, result: AttentionResult) -> None:
    from whitebox_transformers_cli.tables import print_table

    title = f"{run}, layer {result.layer + 1}, {result.images:,} images"
    rows = [(NAMES[key], score_text(value)) for key, value in result.scores.items()]
    for std, alike in result.stability.items():
        rows += [
            (f"noise {std:g}: correlation of maps", f"{alike['correlation']:.3f}"),
            (f"noise {std:g}: IoU of masks", f"{alike['overlap']:.3f}"),
        ]
    if rows:
        print_table(title, ("score", "value"), rows)
