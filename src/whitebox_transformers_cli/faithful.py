"""``wbt faithful``: do the layers of a trained model do what the derivation says?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from whitebox_transformers_cli.arguments import FinishedRun


def faithful(
    run: FinishedRun,
    samples: Annotated[int, typer.Option("--samples", min=1, help="Samples to measure.")] = 256,
    split: Annotated[
        str, typer.Option("--split", help="validation, train or test.")
    ] = "validation",
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder to write; RUN/faithful if left out.")
    ] = None,
) -> None:
    """Hold every layer of a white box against the derivation.

    What each step does to R^c, R and the lasso, whether it follows the exact gradient, and how near
    the matrices are to those of the theory; beside the untrained network and Gaussian tokens.
    """
    from whitebox_transformers.report.faithful import faithful as measure
    from whitebox_transformers_cli.tables import print_table

    result = measure(run, samples, split, out)
    for table in result.tables:
        print_table(table.title, table.header, table.rows)
    for sentence in result.findings:
        typer.echo(sentence)
    typer.echo(f"numbers: {result.json}")
    typer.echo(f"picture: {result.png}")
