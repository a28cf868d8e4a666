"""``wbt eval``: the score of a finished run, or of a language model on any text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from whitebox_transformers_cli.arguments import Run

if TYPE_CHECKING:
    from whitebox_transformers.evaluation.text_scores import StoredScore


def evaluate(
    run: Run,
    more_data: Annotated[list[str] | None, typer.Argument(hidden=True)] = None,
    split: Annotated[
        str, typer.Option("--split", help="train, validation or test; or one of a data set.")
    ] = "test",
    data: Annotated[
        list[str] | None,
        typer.Option("--data", metavar="FILE...", help="Score a language model on these texts."),
    ] = None,
    context: Annotated[
        int | None, typer.Option("--context", help="Tokens read at once; all it can if left out.")
    ] = None,
    stride: Annotated[
        int | None, typer.Option("--stride", help="Tokens each window scores; half the context.")
    ] = None,
    lambada: Annotated[
        bool, typer.Option("--lambada", help="A passage a line; also accuracy of last words.")
    ] = False,
    column: Annotated[
        str | None,
        typer.Option("--column", metavar="TEXT", help="Column of a table or data set to score."),
    ] = None,
    separator: Annotated[
        str | None,
        typer.Option("--separator", metavar="END", help=r"What ends a text in a file: '\n', say."),
    ] = None,
    join: Annotated[
        bool,
        typer.Option("--join", help="Texts follow each other, as where training crosses them."),
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Where the score is written.")
    ] = None,
    int8: Annotated[
        bool, typer.Option("--int8", help="Folded and in eight-bit integers, on the CPU.")
    ] = False,
) -> None:
    """Measure a finished run on one of its splits, or a language model on texts.

    With --data: cross-entropy per token and per byte of any UTF-8 text or table of texts, in
    windows that slide over it; the score is stored with its protocol.
    """
    from whitebox_transformers_cli.tables import print_table

    # An option takes one value, so the later ones of `--data a.txt b.txt` arrive as arguments.
    texts = [*(data or []), *(more_data or [])]
    if not texts:
        _refuse_without_data(context, stride, lambada, column, separator, join, out)
        title = f"{run}, {split} split" + (", int8" if int8 else "")
        print_table(title, ("measure", "value"), _scores_of_split(run, split, int8))
        return
    if int8:
        raise typer.BadParameter("scores splits of runs; leave out --data", param_hint="--int8")
    from whitebox_transformers.evaluation.text_scores import evaluate_texts

    score = evaluate_texts(
        run,
        texts,
        context,
        stride,
        lambada=lambada,
        column=column,
        separator=separator and _unescaped(separator),
        join=join,
        split=split,
        out=out,
    )
    title = f"{run} on {', '.join(texts)}"
    print_table(title, ("measure", "value"), _rows(score))
    if score.file is not None:
        typer.echo(f"score and protocol: {score.file}")


def _unescaped(separator: str) -> str:
    """A separator as a shell passes it on: line ends and tabs may be written as in a recipe."""
    for written, meant in ((r"\n", "\n"), (r"\r", "\r"), (r"\t", "\t")):
        separator = separator.replace(written, meant)
    return separator


def _refuse_without_data(*given: object) -> None:
    options = "--context --stride --lambada --column --separator --join --out"
    for name, value in zip(options.split(), given, strict=True):
        if value not in (None, False):
            raise typer.BadParameter(
                "only texts are scored with it; name them with --data", param_hint=name
            )


def _scores_of_split(run: Path, split: str, int8: bool) -> list[tuple[str, str]]:
    from whitebox_transformers.evaluation.finished_run import evaluate as measure
    from whitebox_transformers.tasks import task_of
    from whitebox_transformers.training.run_folder import find_run, recipe_of

    scores = measure(run, split, int8)
    return task_of(recipe_of(find_run(run))).describe(scores)


def _rows(score: StoredScore) -> list[tuple[str, str]]:
    values, protocol = score.values, score.values["protocol"]
    rows = [
        ("nats per token", f"{values['nats_per_token']:.4f}"),
        ("perplexity", f"{values['perplexity']:,.2f}"),
        ("bits per byte", f"{values['bits_per_byte']:.4f}"),
        ("nats per byte", f"{values['nats_per_byte']:.4f}"),
        ("perplexity of words", f"{values['word_perplexity']:,.2f}"),
        ("tokens scored", f"{values['tokens']:,}"),
        ("bytes scored", f"{values['bytes']:,}"),
        ("words scored", f"{values['words']:,}"),
        ("texts", f"{values['texts']:,}"),
        ("context, stride", f"{protocol['context']:,}, {protocol['stride']:,}"),
    ]
    if "last_word_accuracy" in values:
        rows = [
            ("last word, greedy", f"{values['last_word_accuracy']:.2%}"),
            ("perplexity of last words", f"{values['last_word_perplexity']:,.2f}"),
            *rows,
        ]
    for key, said in (
        ("texts_left_out", "texts left out (one token)"),
        ("unknown_tokens", "unknown tokens (bytes not told)"),
    ):
        if values[key]:
            rows.append((said, f"{values[key]:,}"))
    return rows
