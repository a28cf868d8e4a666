"""Directive ``verified-statements``: what `wbt verify` wrote, statement by statement."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from docutils import nodes
from results_tables import folded_table, table
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

FOLDER = Path(__file__).parent / "verify"
RESULTS = FOLDER / "results.json"


class VerifiedStatements(SphinxDirective):
    """An overview, then a section for every statement."""

    def run(self) -> list[nodes.Node]:
        """Read the file each time the page is built."""
        self.env.note_dependency(str(RESULTS))
        stored = json.loads(RESULTS.read_text(encoding="utf-8"))["statements"]
        found: list[nodes.Node] = [table([overview(one) for one in stored])]
        for one in stored:
            found += self.details(one)
        return found

    def details(self, one: dict[str, Any]) -> list[nodes.Node]:
        """Heading, claim, source, finding, picture, and the cases folded away."""
        title = f"{one['number']}. {one['title']}"
        target = nodes.target(ids=[f"statement-{one['number']}"])
        parts: list[nodes.Node] = [
            target,
            nodes.rubric(text=title),
            _line("Claim", one["claim"]),
            _line("In the paper", one["source"]),
            _line("Verdict", judgement(one)),
            _line("Measured", one["finding"]),
        ]
        picture = FOLDER / f"{one['name']}.png"
        if picture.is_file():
            image = nodes.image(uri=f"verify/{picture.name}", alt=f"{title}: chart", width="34em")
            parts.append(image)
        rows = [row for case in one["cases"] for row in case_rows(case)]
        return [*parts, *folded_table(f"All {len(one['cases'])} cases", rows)]


def overview(one: dict[str, Any]) -> dict[str, Any]:
    """One row of the table at the top."""
    return {"": one["number"], "statement": one["title"], "verdict": judgement(one)}


def judgement(one: dict[str, Any]) -> str:
    """Verdict and condition in one line."""
    return f"{one['verdict']} {one['condition']}".rstrip()


def case_rows(case: dict[str, Any]) -> list[dict[str, Any]]:
    """A row for each number measured in a case."""
    return [
        case["at"]
        | {
            "measured": measured["quantity"],
            "value": measured["value"],
            "claimed": f"{measured['relation']} {measured['expected']:.6g}",
            "tolerance": measured["tolerance"],
            "case": "holds" if case["holds"] else "does not hold",
        }
        for measured in case["measured"]
    ]


def _line(label: str, text: str) -> nodes.paragraph:
    return nodes.paragraph("", "", nodes.strong(text=f"{label}: "), nodes.Text(text))


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("verified-statements", VerifiedStatements)
    return {"parallel_read_safe": True}
