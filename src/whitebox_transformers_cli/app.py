"""The application: every command, registered once."""

from __future__ import annotations

import warnings
from typing import Annotated

import typer

from whitebox_transformers_cli.attention import attention
from whitebox_transformers_cli.bench import bench
from whitebox_transformers_cli.catalogue import list_all
from whitebox_transformers_cli.compare import compare
from whitebox_transformers_cli.convert import convert
from whitebox_transformers_cli.doctor import doctor
from whitebox_transformers_cli.errors import OneLineErrors
from whitebox_transformers_cli.evaluate import evaluate
from whitebox_transformers_cli.export import export
from whitebox_transformers_cli.faithful import faithful
from whitebox_transformers_cli.generate import generate
from whitebox_transformers_cli.inspection import inspect
from whitebox_transformers_cli.neurons import neurons
from whitebox_transformers_cli.pca import pca
from whitebox_transformers_cli.predict import predict
from whitebox_transformers_cli.probe import probe
from whitebox_transformers_cli.segment import segment
from whitebox_transformers_cli.train import train
from whitebox_transformers_cli.verify import verify

app = typer.Typer(
    name="wbt",
    cls=OneLineErrors,
    help="White-box transformers: train a classifier, trust it, look inside it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    # Plain help: rich's parser of marked-up text takes longer to load than all the rest.
    rich_markup_mode=None,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        # Imported here: it costs a third of the time of `wbt --help`.
        from importlib.metadata import version

        typer.echo(f"whitebox-transformers {version('whitebox-transformers')}")
        raise typer.Exit


@app.callback()
def _root(
    show_version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    pass


app.command("train")(train)
app.command("compare")(compare)
app.command("eval")(evaluate)
app.command("probe")(probe)
app.command("inspect")(inspect)
app.command("faithful")(faithful)
app.command("neurons")(neurons)
app.command("segment")(segment)
app.command("attention")(attention)
app.command("pca")(pca)
app.command("predict")(predict)
app.command("generate")(generate)
app.command("convert")(convert)
app.command("export")(export)
app.command("verify")(verify)
app.command("bench")(bench)
app.command("list")(list_all)
app.command("doctor")(doctor)


def main() -> None:
    """Entry point of the console script."""
    # Pillow's own limit of pixels; ours, which can be raised, is said where it is met.
    warnings.filterwarnings("ignore", message=r"Image size \(\d+ pixels\) exceeds limit")
    app(prog_name="wbt")
