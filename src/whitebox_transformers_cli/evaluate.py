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
    from whitebox_transformers.evaluation.classification import evaluate as measure
    from whitebox_transformers_cli.tables import print_table

    scores = measure(run, split)
    rows = [("accuracy", f"{scores['accuracy']:.2%}")]
    if "top5_accuracy" in scores:
        rows.append(("top-5 accuracy", f"{scores['top5_accuracy']:.2%}"))
    rows += [("cross-entropy", f"{scores['loss']:.4f}"), ("images", f"{scores['images']:,}")]
    rows += [(f"class {name}", f"{share:.2%}") for name, share in scores["class_accuracy"].items()]
    print_table(f"{run}, {split} split", ("measure", "value"), rows)
