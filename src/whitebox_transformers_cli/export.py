"""``wbt export``: a trained model for other runtimes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from whitebox_transformers_cli.arguments import Run


def export(
    run: Run,
    file_format: Annotated[
        str, typer.Option("--format", metavar="onnx", help="What to write.")
    ] = "onnx",
    out: Annotated[
        Path | None, typer.Option("--out", help="File to write; RUN/model.onnx if left out.")
    ] = None,
    int8: Annotated[
        bool, typer.Option("--int8", help="Matrices as eight-bit integers, for CPUs.")
    ] = False,
) -> None:
    """Export a trained model to another runtime.

    The exported model is run beside the original; the difference is printed.
    """
    if file_format != "onnx":
        raise typer.BadParameter(
            f"{file_format!r} is not known; choose onnx", param_hint="--format"
        )
    from whitebox_transformers.export.onnx import export_onnx

    typer.echo(str(export_onnx(run, out or run / "model.onnx", int8=int8)))
