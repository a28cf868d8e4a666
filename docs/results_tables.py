"""Directive ``results-tables``: every file of benchmarks/results as a table."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"


def rows_of(path: Path) -> list[dict[str, Any]]:
    """Rows of a CSV file, of a JSON list, or of the list that a JSON object holds as ``rows``."""
    if path.suffix == ".csv":
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))
    value = json.loads(path.read_text(encoding="utf-8"))
    rows = value if isinstance(value, list) else value.get("rows", [value])
    return [row for row in rows if isinstance(row, dict)]


class ResultsTables(SphinxDirective):
    """One section per file, in order of their names; of those that the patterns name, if any."""

    optional_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        """Read the folder each time the page is built."""
        found: list[nodes.Node] = []
        self.env.note_dependency(str(RESULTS))
        patterns = self.arguments[0].split() if self.arguments else ["*.csv", "*.json"]
        for path in sorted(path for pattern in patterns for path in RESULTS.rglob(pattern)):
            self.env.note_dependency(str(path))
            rows = rows_of(path)
            if rows:
                found += [nodes.rubric(text=path.relative_to(RESULTS).as_posix()), table(rows)]
        return found or [nodes.paragraph(text="No result has been recorded yet.")]


def table(rows: list[dict[str, Any]]) -> nodes.table:
    """Columns are the union of the rows' keys, in order of appearance."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    group = nodes.tgroup(cols=len(columns))
    group += [nodes.colspec(colwidth=1) for _ in columns]
    group += nodes.thead("", _row(columns))
    group += nodes.tbody("", *(_row([_cell(row.get(key, "")) for key in columns]) for row in rows))
    return nodes.table("", group)


def folded_table(summary: str, rows: list[dict[str, Any]]) -> list[nodes.Node]:
    """A table that opens when its summary is clicked."""
    return [
        nodes.raw("", f"<details><summary>{summary}</summary>", format="html"),
        table(rows),
        nodes.raw("", "</details>", format="html"),
    ]


def _row(cells: list[str]) -> nodes.row:
    return nodes.row("", *(nodes.entry("", nodes.paragraph(text=cell)) for cell in cells))


def _cell(value: Any) -> str:
    if value is None:
        return ""  # of a single seed there is no spread
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) else json.dumps(value)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("results-tables", ResultsTables)
    return {"parallel_read_safe": True}
