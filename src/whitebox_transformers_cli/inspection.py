"""``wbt inspect``: what every layer of a trained model does."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from whitebox_transformers_cli.arguments import Run


def inspect(
    run: Run,
    more_images: Annotated[list[Path] | None, typer.Argument(hidden=True)] = None,
    images: Annotated[
        list[Path] | None,
        typer.Option(
            "--images", metavar="IMAGE...", help="Show attention and prediction for these files."
        ),
    ] = None,
    samples: Annotated[
        int | None, typer.Option("--samples", min=1, help="Images per split to measure.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder to write; RUN/inspection if left out.")
    ] = None,
) -> None:
    """Measure every layer, write figures and a page.

    Beside the PNG figures: all numbers as JSON, and one HTML page that opens without a server.

    ``--images a.png b.png`` reads like a shell's own tools: names after the first arrive in
    ``more_images``.
    """
    from whitebox_transformers.report.inspect import inspect as look_inside

    chosen = [*(images or []), *(more_images or [])]
    options = {} if samples is None else {"samples": samples}
    result = look_inside(run, images=chosen or None, out=out, **options)
    typer.echo(f"numbers: {result.json}")
    typer.echo(f"figures: {len(result.pngs)} in {result.pngs[0].parent}")
    typer.echo(f"page:    {result.html}")
