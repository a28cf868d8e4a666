"""``wbt predict``: classes of single images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from whitebox_transformers_cli.arguments import Run

if TYPE_CHECKING:
    from whitebox_transformers.evaluation.predict import Prediction


def predict(
    run: Run,
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Image files.")],
    top: Annotated[int, typer.Option("--top", min=1, help="Classes to show per image.")] = 3,
) -> None:
    """Classify image files with a trained model.

    A file that cannot be read does not stop the others; the command then ends with status 1.
    """
    from whitebox_transformers.evaluation.predict import predict as classify
    from whitebox_transformers_cli.tables import print_table

    predictions = classify(run, list(images))
    print_table(
        str(run),
        ("image", "classes"),
        [(str(prediction.path), _classes(prediction, top)) for prediction in predictions],
        numbers_from=2,
    )
    if any(prediction.error for prediction in predictions):
        raise typer.Exit(1)


def _classes(prediction: Prediction, top: int) -> str:
    if prediction.error:
        return f"not read: {prediction.error}"
    ranked = list(prediction.probabilities.items())[:top]
    return ", ".join(f"{label} {share:.1%}" for label, share in ranked)
