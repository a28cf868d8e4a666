"""``wbt bench``: the speed of every system beside its peers, recorded and checked again."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

PLACE = Path("benchmarks", "suite.py")


def bench(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="One benchmark; without it, the list.")
    ] = None,
    pairs: Annotated[
        list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Changes, e.g. batch=4.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Measure again and compare ratios with the record.")
    ] = False,
    tolerance: Annotated[
        float, typer.Option("--tolerance", help="By how much a ratio may be worse; with --check.")
    ] = 0.1,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Write there; benchmarks/results if left out."),
    ] = None,
) -> None:
    """Time a system beside its black box and its transcription.

    Needs a checkout of the sources. Let nothing else run meanwhile; quote ratios, not seconds.
    """
    root = checkout()
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    if check:
        raise typer.Exit(_check(name, pairs or [], tolerance))
    if name is None:
        _list()
        return
    from benchmarks.suite import busy, doubts, record

    share = busy()
    path, rows = record(name, pairs or [], out)
    _print_rows(name, rows)
    _note(doubts(share))
    typer.echo(f"recorded: {path}")


def checkout() -> Path:
    """The folder with ``benchmarks/``: that of this installation, or the present one.

    Raises:
        UserError: Neither has it.
    """
    from whitebox_transformers.errors import UserError

    for folder in (Path(__file__).resolve().parents[2], Path.cwd()):
        if (folder / PLACE).is_file() and (folder / "tests" / "oracles").is_dir():
            return folder
    raise UserError(
        "wbt bench needs a checkout of the sources: benchmarks/ and tests/oracles/ are not in the "
        "installed package; clone the repository and run it in that folder"
    )


def _list() -> None:
    from benchmarks.suite import BENCHMARKS

    from whitebox_transformers_cli.tables import print_table

    rows = [(name, one.title, f"{one.settings.record}.json") for name, one in BENCHMARKS.items()]
    columns = ("name", "what", "recorded as")
    print_table("wbt bench NAME [KEY=VALUE ...]", columns, rows, numbers_from=9)


def _print_rows(name: str, rows: list[dict]) -> None:
    from whitebox_transformers_cli.tables import print_table

    columns = [key for key in dict.fromkeys(key for row in rows for key in row) if key != "better"]
    cells = [[_cell(row.get(key, "")) for key in columns] for row in rows]
    print_table(name, columns, cells, numbers_from=2)


def _note(lines: list[str]) -> None:
    for line in lines:
        typer.echo(f"note: {line}")


def _cell(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _check(name: str | None, pairs: list[str], tolerance: float) -> int:
    """Print every ratio, then and now; 1 if one is worse by more than the tolerance."""
    from benchmarks.suite import busy, check, doubts, recorded

    from whitebox_transformers_cli.tables import print_table

    failed, share = 0, busy()
    for one in [name] if name else recorded():
        found = check(one, pairs)
        worse = [comparison for comparison in found if comparison.worse(tolerance)]
        failed += len(worse)
        rows = [
            (
                c.mode,
                c.what,
                f"{c.recorded:.3g}",
                f"{c.measured:.3g}",
                f"{c.change:+.1%}",
                "worse" if c in worse else "",
            )
            for c in found
        ]
        columns = ("mode", "ratio", "recorded", "now", "better by", "")
        print_table(one, columns, rows, numbers_from=2)
        _note(doubts(share, one))
        typer.echo(f"{one}: {len(worse)} of {len(found)} ratios worse by more than {tolerance:.0%}")
    return 1 if failed else 0
