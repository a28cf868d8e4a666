"""The page shows what the code says now."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from whitebox_transformers.theory import STATEMENTS

DOCS = Path(__file__).parents[3] / "docs"
STORED = json.loads((DOCS / "verify" / "results.json").read_text(encoding="utf-8"))["statements"]
QUICK = (1, 2, 6, 7, 9, 12, 15, 16, 17, 26)


def test_stored_results_are_of_these_statements():
    for one, stored in zip(STATEMENTS, STORED, strict=True):
        assert stored["number"] == one.number
        assert (stored["name"], stored["title"]) == (one.name, one.title)
        assert (stored["claim"], stored["source"]) == (one.claim, one.source)


@pytest.mark.parametrize("number", QUICK)
def test_stored_verdict_is_what_comes_out_today(number):
    result, stored = STATEMENTS[number - 1](), STORED[number - 1]
    assert (stored["verdict"], stored["condition"]) == (result.verdict, result.condition)


def test_every_chart_is_there_and_no_other():
    pictures = {path.stem for path in (DOCS / "verify").glob("*.png")}
    assert pictures == {stored["name"] for stored in STORED if stored["chart"]}


def test_the_page_on_evidence_sorts_every_statement_once_or_leaves_it():
    page = (DOCS / "evidence.md").read_text(encoding="utf-8")
    named = [int(n) for group in re.findall(r"\((\d[\d, ]*)\)", page) for n in group.split(",")]
    assert len(named) == len(set(named))
    assert set(named) <= {one.number for one in STATEMENTS}
