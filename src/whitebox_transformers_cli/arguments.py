"""Arguments that several commands share, so that they read the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

RecipeName = Annotated[
    str,
    typer.Argument(
        metavar="RECIPE", help="YAML file, or a shipped name such as image/digits (see wbt list)."
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="KEY=VALUE", help="Win over the recipe, e.g. train.epochs=5 seed=1."),
]
Smoke = Annotated[
    bool, typer.Option("--smoke", help="A few steps on a few images: does the recipe work at all?")
]
Run = Annotated[
    Path, typer.Argument(metavar="RUN", help="Run folder, or any Hugging Face model folder.")
]
FinishedRun = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run.")]
