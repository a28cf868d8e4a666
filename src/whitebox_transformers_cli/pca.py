"""``wbt pca``: images coloured by the leading components of their tokens."""

from __future__ import annotations

from typing import Annotated

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
    MaxPixels,
    Out,
    Resolution,
    reading_of,
    say_left_out,
)


def pca(
    run: AnyRun,
    images: Images,
    layer: Layer = None,
    facet: Facet = "key",
    all_tokens: Annotated[
        bool, typer.Option("--all-tokens", help="Do not look for the foreground first.")
    ] = False,
    threshold: Annotated[
        float,
        typer.Option("--threshold", help="Of the first coordinate, from 0 to 1, for foreground."),
    ] = 0.5,
    invert: Annotated[
        bool, typer.Option("--invert", help="Take the other side as the foreground.")
    ] = False,
    no_refit: Annotated[
        bool, typer.Option("--no-refit", help="Colour by the components of all tokens.")
    ] = False,
    signs: Annotated[
        str, typer.Option("--signs", help="Of red, green and blue, e.g. +-+.")
    ] = "+++",
    resolution: Resolution = None,
    keep_shape: KeepShape = False,
    max_pixels: MaxPixels = MAX_PIXELS,
    longest: Longest = LONGEST,
    device: Device = None,
    out: Out = None,
) -> None:
    """Fit one PCA to the tokens of all images, colour them by it.

    The first component tells foreground from background; the next three, fitted to the foreground
    alone, are red, green and blue. Which side of a component is which is arbitrary: see --invert
    and --signs.
    """
    from whitebox_transformers.report.token_components import ComponentSettings, show_components

    if len(signs) != 3 or not set(signs) <= {"+", "-"}:
        raise typer.BadParameter(f"{signs!r}: expected three of + and -", param_hint="--signs")
    red, green, blue = (1 if sign == "+" else -1 for sign in signs)
    settings = ComponentSettings(
        -1 if layer is None else layer - 1,
        facet,
        not all_tokens,
        threshold,
        invert,
        not no_refit,
        (red, green, blue),
    )
    reading = reading_of(resolution, keep_shape, max_pixels, longest)
    result = show_components(run, images, settings, reading, out, device)
    say_left_out(result.reasons, result.left_out)
    shares = ", ".join(f"{share:.1%}" for share in result.pca.explained_variance_ratio_)
    if result.pca.foreground:
        share = result.pca.n_foreground_ / result.pca.n_samples_
        typer.echo(f"foreground: {share:.1%} of {result.pca.n_samples_:,} tokens")
    typer.echo(f"variance in components 1 to 3: {shares}")
    typer.echo(f"pictures: {result.pictures} ({result.images:,} images)")
    typer.echo(f"numbers: {result.json}")
    if result.left_out:
        raise typer.Exit(1)
