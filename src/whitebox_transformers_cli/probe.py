"""``wbt probe``: how good a model's features are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from whitebox_transformers_cli.arguments import Run

if TYPE_CHECKING:
    from whitebox_transformers.evaluation.probes import ProbeResult


def probe(
    run: Run,
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE", help="Of data or augment, e.g. data.limit=2000."),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="DATA",
            help="Labelled images: digits, a folder of parquet files or of images, hub:NAME; "
            "the run's own if left out.",
        ),
    ] = None,
    split: Annotated[str, typer.Option("--split", help="validation or test.")] = "test",
    pooling: Annotated[
        str | None,
        typer.Option("--pooling", help="cls, patches, mean or cls+patches; the model's own."),
    ] = None,
    layers: Annotated[
        int, typer.Option("--layers", help="How many last layers are put side by side.")
    ] = 1,
    neighbours: Annotated[
        list[int] | None,
        typer.Option("--k", help="Neighbours; may be repeated. 10, 20, 100, 200 if left out."),
    ] = None,
    temperature: Annotated[
        float, typer.Option("--temperature", help="Votes weigh exp(cosine / temperature).")
    ] = 0.07,
    no_linear: Annotated[
        bool, typer.Option("--no-linear", help="Leave the logistic regression out.")
    ] = False,
    sgd_epochs: Annotated[
        int, typer.Option("--sgd-epochs", help="Also a linear probe by SGD with augmentation.")
    ] = 0,
    no_baselines: Annotated[
        bool,
        typer.Option("--no-baselines", help="Leave out pixels, PCA and the untrained network."),
    ] = False,
    seed: Annotated[int, typer.Option("--seed", help="Of the untrained network and of SGD.")] = 0,
    cache: Annotated[
        Path | None, typer.Option("--cache", metavar="DIR", help="Where features are kept.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Where the scores are written.")
    ] = None,
) -> None:
    """Judge a model's features by k-NN and linear probes.

    The weights stay as they are. Beside them: raw pixels, their principal components, and the same
    network untrained.
    """
    from typing import cast

    from whitebox_transformers.evaluation.probes import ProbeSettings
    from whitebox_transformers.evaluation.probes import probe as judge
    from whitebox_transformers.evaluation.probes.settings import BASELINES
    from whitebox_transformers_cli.tables import print_table

    settings = ProbeSettings(
        pooling=cast(Any, pooling),
        layers=layers,
        neighbours=tuple(neighbours) if neighbours else None,
        temperature=temperature,
        linear=not no_linear,
        sgd_epochs=sgd_epochs,
        split=cast(Any, split),
        baselines=() if no_baselines else BASELINES,
        seed=seed,
    )
    result = judge(run, data, settings, overrides, cache, out)
    print_table(_title(result), _columns(result), _rows(result))
    typer.echo(f"scores and protocol: {result.file}")


def _title(result: ProbeResult) -> str:
    record = result.record
    asked = record["protocol"]["split"]
    counts = record["images"]
    return (
        f"{record['model']}: accuracy on {counts[asked]:,} {asked} images, "
        f"{counts['train']:,} training images"
    )


def _columns(result: ProbeResult) -> tuple[str, ...]:
    trained = result.scores["trained"]
    linear = [name for name in ("linear", "sgd") if name in trained]
    return ("features", "width", *(f"k-NN {k}" for k in trained["knn"]), *linear)


def _rows(result: ProbeResult) -> list[tuple[str, ...]]:
    rows = []
    for name, scores in result.scores.items():
        values = [f"{accuracy:.2%}" for accuracy in scores["knn"].values()]
        for kind in ("linear", "sgd"):
            if kind in result.scores["trained"]:
                values.append(f"{scores[kind]['accuracy']:.2%}" if kind in scores else "-")
        rows.append((name, f"{scores['width']:,}", *values))
    return rows
