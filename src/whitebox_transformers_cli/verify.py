"""``wbt verify``: the paper's mathematics, tried with numbers."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer


def verify(
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only", metavar="STATEMENT", help="Number or name; several parted by commas."
        ),
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write every number there.")
    ] = None,
    figures: Annotated[
        Path | None, typer.Option("--figures", metavar="DIR", help="Write the charts there.")
    ] = None,
) -> None:
    """Try the paper's statements on synthetic data.

    Prints where each stands in the paper, what was measured, and whether it holds. That a
    statement does not hold is a result, not an error.
    """
    from tqdm import tqdm

    from whitebox_transformers.extras import require
    from whitebox_transformers.theory import chosen
    from whitebox_transformers.theory import verify as results_of
    from whitebox_transformers_cli.tables import print_table

    statements = chosen(only or [])
    if figures is not None:
        require("matplotlib", extra="analysis")  # before the work, not after it
    results = []
    with tqdm(total=len(statements), unit="statement") as bar:
        for statement in statements:
            bar.set_description(f"{statement.number}. {statement.name}")
            results += results_of([statement])
            bar.update()
    counts = Counter(str(result.verdict) for result in results)
    print_table(
        ", ".join(f"{count} × {verdict}" for verdict, count in counts.items()),
        ("", "statement", "in the paper", "measured", "verdict"),
        [
            (str(result.number), result.title, result.source, result.measured, result.judgement)
            for result in results
        ],
        numbers_from=5,
    )
    if json_file is not None or figures is not None:
        from whitebox_transformers.report.verification import write_charts, write_results

        if json_file is not None:
            write_results(results, json_file)
            typer.echo(f"numbers: {json_file}")
        if figures is not None:
            typer.echo(f"figures: {len(write_charts(results, figures))} in {figures}")
