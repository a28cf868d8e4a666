"""Tables on the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

UNLIMITED = 10_000


def print_table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], numbers_from: int = 1
) -> None:
    """Print rows under headings; columns from ``numbers_from`` on are aligned to the right.

    Written to something that is no terminal, the table keeps its full width: nothing is cut off.
    """
    table = Table(box=SIMPLE_HEAD)
    for position, heading in enumerate(columns):
        table.add_column(heading, justify="right" if position >= numbers_from else "left")
    for row in rows:
        table.add_row(*row)
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        unlimited = console.options.update(max_width=UNLIMITED)
        console.width = max(console.width, console.measure(table, options=unlimited).maximum)
    # Above the table, not as its title, which would be broken to the width of its columns.
    console.print(title, style="bold", soft_wrap=True)
    console.print(table)
