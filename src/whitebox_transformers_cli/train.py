"""``wbt train``: one run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from whitebox_transformers_cli.arguments import Overrides, RecipeName, Smoke
from whitebox_transformers_cli.shipped import chosen_recipe


def train(
    recipe: RecipeName,
    overrides: Overrides = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Run folder; the recipe's own if left out.")
    ] = None,
    smoke: Smoke = False,
) -> None:
    """Train one model as a recipe says.

    Interrupted and called again, the run goes on where it stopped and ends with the same weights.
    `torchrun` or `accelerate launch` in front of it starts several processes, which share a batch.
    """
    from whitebox_transformers.tasks import task_of
    from whitebox_transformers.training.processes import is_main_process
    from whitebox_transformers.training.run import train as carry_out

    chosen = chosen_recipe(recipe, overrides, smoke)
    result = carry_out(chosen, out)
    if not is_main_process():
        return
    if result.already_finished:
        typer.echo("This run was finished already; nothing was trained.")
    score = task_of(chosen).headline
    scores = [
        f"{split} {score.title} {score.show(result.on(split)[score.key])}"
        for split in ("validation", "test")
        if result.on(split)
    ]
    typer.echo(
        f"{result.family}: {result.parameters:,} parameters, {', '.join(scores)}, "
        f"{result.seconds:.0f} s"
    )
    typer.echo(f"run folder: {result.folder}")
    typer.echo(f"look inside: wbt inspect {result.folder}")
