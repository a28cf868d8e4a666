"""``wbt neurons``: single coefficients of a language model's sparse code."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from whitebox_transformers_cli.arguments import Run


def neurons(
    run: Run,
    layer: Annotated[
        list[int] | None,
        typer.Option(
            "--layer", metavar="L", help="Layer from 1, may be repeated; all if left out."
        ),
    ] = None,
    top: Annotated[
        int, typer.Option("--top", min=1, help="Coefficients of each layer to show, strongest.")
    ] = 24,
    neuron: Annotated[
        list[int] | None,
        typer.Option("--neuron", metavar="I", help="Show this one instead; may be repeated."),
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option("--data", metavar="FILE", help="Text to read; may be repeated."),
    ] = None,
    samples: Annotated[
        int, typer.Option("--samples", min=1, help="Pieces of text to look at.")
    ] = 256,
    scale: Annotated[
        float, typer.Option("--scale", metavar="X", help="Try multiplying a coefficient by this.")
    ] = 2.0,
    value: Annotated[
        float | None,
        typer.Option(
            "--set", metavar="X", help="Try this value; that of its first excerpt if left out."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder to write; RUN/neurons if left out.")
    ] = None,
) -> None:
    """Show what switches single coefficients on, and what they do.

    Share of tokens active, histogram, excerpts by strength, and the predictions with a coefficient
    that is zero, scaled, or held at one value: as JSON and as one page to search and sort.
    """
    from whitebox_transformers.report.neuron_record import Changes
    from whitebox_transformers.report.neurons import look_at_neurons

    changes = Changes(scale, value)
    files = look_at_neurons(run, layer, top, neuron, data, samples, changes, out)
    for note in files.notes:
        typer.echo(f"left out: {note}", err=True)
    typer.echo(f"numbers: {files.json}")
    typer.echo(f"page: {files.html} ({files.shown:,} coefficients)")
