"""Directive ``learning-pairs``: what `benchmarks.learning` recorded, a data set at a time."""

from __future__ import annotations

from pathlib import Path

from docutils import nodes
from learning_rows import Pair, pairs_by_recipe, rows_of, title
from results_tables import RESULTS, folded_table, table
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


class LearningPairs(SphinxDirective):
    """A section for every recipe in the folders of ``recipes/`` that are named."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        """Read the results each time the page is built."""
        self.env.note_dependency(str(RESULTS))
        found: list[nodes.Node] = []
        for recipe, pairs in pairs_by_recipe(RESULTS, self.arguments[0].split()).items():
            for pair in pairs:
                self.env.note_dependency(str(pair.path))
            found += section(recipe, pairs)
        return found or [nodes.paragraph(text="No pair has been recorded yet.")]


def section(recipe: Path, pairs: list[Pair]) -> list[nodes.Node]:
    """Heading, all arms in one table, every run folded away, and the commands."""
    arms, runs = rows_of(pairs)
    return [
        nodes.rubric(text=title(recipe)),
        table(arms),
        *folded_table(f"All {len(runs)} runs", runs),
        *(made_by(pair) for pair in pairs),
    ]


def made_by(pair: Pair) -> nodes.paragraph:
    """The command behind a result, with day, commit and machine."""
    stored = pair.stored
    hardware, commit = stored["hardware"], (stored["git"] or "no checkout")[:10]
    paragraph = nodes.paragraph()
    paragraph += nodes.literal(text=stored["command"])
    paragraph += nodes.Text(f" ({stored['date']}, {commit}, {hardware['processor']})")
    return paragraph


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("learning-pairs", LearningPairs)
    return {"parallel_read_safe": True}
