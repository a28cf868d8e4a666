"""``wbt compare``: the white box beside its black box."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from whitebox_transformers_cli.arguments import Overrides, RecipeName, Smoke
from whitebox_transformers_cli.shipped import chosen_recipe

if TYPE_CHECKING:
    from whitebox_transformers.tasks.task import Score
    from whitebox_transformers.training.compare import Comparison, Row


def compare(recipe: RecipeName, overrides: Overrides = None, smoke: Smoke = False) -> None:
    """Train a white box and its black box, print the pair.

    Both arms share data, steps, optimiser and schedule, and have equal parameters within 2 %.
    Then every layer of the white box is measured and a page is written. Arms that are finished
    are not trained again.
    """
    from whitebox_transformers.report.inspect import inspect
    from whitebox_transformers.training.compare import compare as carry_out
    from whitebox_transformers_cli.tables import print_table

    pair = carry_out(chosen_recipe(recipe, overrides, smoke))
    inspected = inspect(pair.rows[0].result.folder, comparison=pair)
    print_table(_title(pair), _columns(pair), [_cells(pair, row) for row in pair.rows])
    typer.echo(f"First -> last layer, means over validation {pair.task.unit}.")
    typer.echo("Compression: R^c in nats, `published` convention, at the layer's input.")
    typer.echo("Non-zero share: entries of the layer's output that are not zero.")
    typer.echo(f"page: {inspected.html}")


def _title(pair: Comparison) -> str:
    return f"White box and black box, parameters {pair.parameter_ratio - 1:+.2%}"


def _columns(pair: Comparison) -> tuple[str, ...]:
    return (
        "model",
        "parameters",
        *(f"{split}\n{score.title}" for split, score in pair.task.compared),
        "seconds",
        "compression\nfirst -> last",
        "non-zero share\nfirst -> last",
    )


def _cells(pair: Comparison, row: Row) -> tuple[str, ...]:
    return (
        row.result.family,
        f"{row.result.parameters:,}",
        *(_score(row, split, score) for split, score in pair.task.compared),
        f"{row.result.seconds:.0f}",
        _ends(row.compression, "{:.1f}"),
        _ends(row.nonzero, "{:.1%}"),
    )


def _score(row: Row, split: str, score: Score) -> str:
    value = row.result.on(split).get(score.key)
    return "-" if value is None else score.show(value)


def _ends(values: tuple[float, float] | None, style: str) -> str:
    return "-" if values is None else " -> ".join(style.format(value) for value in values)
