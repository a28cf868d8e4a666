"""``wbt inspect``: what every layer of a trained model does."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from whitebox_transformers_cli.arguments import FinishedRun


def inspect(
    run: FinishedRun,
    more_images: Annotated[list[Path] | None, typer.Argument(hidden=True)] = None,
    images: Annotated[
        list[Path] | None,
        typer.Option("--images", metavar="IMAGE...", help="Of a run on images: show these files."),
    ] = None,
    text: Annotated[
        list[str] | None,
        typer.Option(
            "--text", metavar="TEXT", help="Of a run on text: show this one; may be repeated."
        ),
    ] = None,
    samples: Annotated[
        int, typer.Option("--samples", min=1, help="Samples per split to measure.")
    ] = 256,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder to write; RUN/inspection if left out.")
    ] = None,
) -> None:
    """Measure every layer, write figures and a page.

    Beside the PNG figures: all numbers as JSON, and one HTML page that opens without a server.
    """
    from whitebox_transformers.report.inspect import inspect as look_inside

    # An option takes one value, so the later ones of `--images a.png b.png` arrive as arguments.
    chosen = [*(images or []), *(more_images or [])]
    result = look_inside(run, images=chosen or None, samples=samples, out=out, texts=text)
    for reason in result.left_out:
        typer.echo(f"left out: {reason}", err=True)
    typer.echo(f"numbers: {result.json}")
    typer.echo(f"figures: {len(result.pngs)} in {result.json.parent}")
    typer.echo(f"page: {result.html}")
