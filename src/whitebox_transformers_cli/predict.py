"""``wbt predict``: classes of single images or texts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from whitebox_transformers_cli.arguments import Run

if TYPE_CHECKING:
    from whitebox_transformers.evaluation.predict_texts import TextPrediction


def predict(
    run: Run,
    inputs: Annotated[
        list[str], typer.Argument(metavar="INPUT...", help="Image files; or texts, in quotes.")
    ],
    top: Annotated[int, typer.Option("--top", min=1, help="Classes to show for each.")] = 3,
    pairs: Annotated[
        bool, typer.Option("--pairs", help="Two texts after each other belong together.")
    ] = False,
    truncate: Annotated[
        bool, typer.Option("--truncate", help="Cut texts that are longer than the model reads.")
    ] = False,
) -> None:
    """Classify image files or texts with a trained model.

    An image that cannot be read does not stop the others; the command then ends with status 1.
    """
    if not _reads_text(run):
        if pairs or truncate:
            raise typer.BadParameter(
                "only texts are predicted with it", param_hint="--pairs" if pairs else "--truncate"
            )
        _predict_images(run, inputs, top)
    elif pairs and len(inputs) % 2:
        raise typer.BadParameter(
            f"{len(inputs)} texts are no pairs; give two for each", param_hint="--pairs"
        )
    else:
        step = 2 if pairs else 1
        _predict_texts(run, inputs[::step], inputs[1::2] if pairs else None, top, truncate)


def _reads_text(run: Path) -> bool:
    """Whether the folder has a tokenizer and nothing that prepares images."""
    files = (run.expanduser() / f"{name}_config.json" for name in ("preprocessor", "tokenizer"))
    images, texts = (file.is_file() for file in files)
    return texts and not images


def _predict_images(run: Path, images: list[str], top: int) -> None:
    from whitebox_transformers.evaluation.predict import predict as classify
    from whitebox_transformers_cli.tables import print_table

    found = classify(run, list(images))
    rows = [
        (str(one.path), f"not read: {one.error}" if one.error else _best(one.probabilities, top))
        for one in found
    ]
    print_table(str(run), ("image", "classes"), rows, numbers_from=2)
    if any(one.error for one in found):
        raise typer.Exit(1)


def _predict_texts(
    run: Path, texts: list[str], pairs: list[str] | None, top: int, truncate: bool
) -> None:
    from whitebox_transformers.evaluation.predict_texts import predict_texts
    from whitebox_transformers_cli.tables import print_table

    found = predict_texts(run, texts, pairs, truncate)
    answer = "classes" if found[0].number is None else "number"
    rows = [(_spelled(one), _answer(one, top)) for one in found]
    print_table(str(run), ("text", answer), rows, numbers_from=2)


def _spelled(one: TextPrediction) -> str:
    return one.text if one.pair is None else f"{one.text}\n{one.pair}"


def _answer(one: TextPrediction, top: int) -> str:
    return _best(one.probabilities, top) if one.number is None else f"{one.number:.4g}"


def _best(probabilities: dict[str, float], top: int) -> str:
    ranked = list(probabilities.items())[:top]
    return ", ".join(f"{label} {share:.1%}" for label, share in ranked)
