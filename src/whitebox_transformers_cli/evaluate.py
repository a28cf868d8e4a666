"""``wbt eval``: the score of a finished run."""

from __future__ import annotations

from typing import Annotated

import typer

from whitebox_transformers_cli.arguments import FinishedRun


def evaluate(
    run: FinishedRun,
    split: Annotated[str, typer.Option("--split", help="train, validation or test.")] = "test",
) -> None:
    """Measure a finished run on one of its splits."""
    from whitebox_transformers.evaluation.finished_run import evaluate as measure
    from whitebox_transformers.tasks import task_of
    from whitebox_transformers.training.run_folder import find_run, recipe_of
    from whitebox_transformers_cli.tables import print_table

    scores = measure(run, split)
    rows = task_of(recipe_of(find_run(run))).describe(scores)
    print_table(f"{run}, {split} split", ("measure", "value"), rows)
