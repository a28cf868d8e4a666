"""Verdicts follow from the numbers, and conditions describe the cases they were read off."""

from __future__ import annotations

import json
import math

import pytest

from whitebox_transformers.errors import UserError
from whitebox_transformers.theory import STATEMENTS, Case, Verdict, chosen
from whitebox_transformers.theory.condition import describe
from whitebox_transformers.theory.measurement import at_least, at_most, equal
from whitebox_transformers.theory.statement import Evidence, conclude
from whitebox_transformers.theory.statements.ista_fixed_point import ista_with_identity_shrinks
from whitebox_transformers.theory.statements.sylvester import rate_from_either_gram_matrix


def case(holds: bool, granted: bool | None = None, **at) -> Case:
    return Case([at_most("x", 0.0 if holds else 1.0, 0.5)], at, granted)


@pytest.mark.parametrize(
    ("measured", "met"),
    [
        (equal("x", [1.0, 1.2], 1.0, 0.1), False),
        (equal("x", [1.0, 0.95], 1.0, 0.1), True),
        (at_most("x", [0.3, 0.6], 0.5), False),
        (at_most("x", 0.55, 0.5, 0.1), True),
        (at_least("x", [0.3, 0.6], 0.5), False),
        (at_least("x", [0.6], 0.5), True),
        (equal("x", [1.0, math.nan], 1.0, 0.1), False),
        (at_most("x", [math.nan, 0.0], 0.5), False),
        (at_least("x", [math.inf], 0.5), True),
    ],
)
def test_the_worst_value_decides(measured, met):
    assert measured.met == met


@pytest.mark.parametrize(
    ("cases", "verdict", "condition"),
    [
        ([case(True), case(True)], Verdict.HOLDS, ""),
        ([case(False), case(False)], Verdict.FAILS, ""),
        ([case(True, True, n=1), case(False, False, n=2)], Verdict.CONDITIONAL, "in words"),
        # The proposed condition does not separate the cases, so it is not believed.
        ([case(True, True, n=1), case(False, True, n=2)], Verdict.CONDITIONAL, "n <= 1"),
        ([case(True, None, n=1), case(False, None, n=2)], Verdict.CONDITIONAL, "n <= 1"),
    ],
)
def test_verdict_follows_from_the_cases(cases, verdict, condition):
    assert conclude(Evidence(cases, "", condition="in words")) == (verdict, condition)


def test_cases_must_be_comparable():
    with pytest.raises(ValueError, match="same keys"):
        conclude(Evidence([case(True, n=1), case(True, m=1)], ""))
    with pytest.raises(ValueError, match="at least one case"):
        conclude(Evidence([], ""))


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (lambda n, kind: n >= 4, "N >= 4"),
        (lambda n, kind: n <= 2, "N <= 2"),
        (lambda n, kind: n in (1, 4), "N = 1 or 4"),
        (lambda n, kind: kind == "a", "kind = a"),
        (lambda n, kind: kind == "a" and n >= 2, "N >= 2 and kind = a"),
        (lambda n, kind: kind == "a" or n >= 4, "N <= 2 and kind = a; or N >= 4"),
    ],
)
def test_condition_in_words(rule, words):
    cases = [case(rule(n, kind), N=n, kind=kind) for n in (1, 2, 4) for kind in ("a", "b")]
    assert describe(cases) == words


def test_registry_is_numbered_in_order_and_says_where_each_comes_from():
    assert [one.number for one in STATEMENTS] == list(range(1, len(STATEMENTS) + 1))
    assert len({one.name for one in STATEMENTS}) == len(STATEMENTS)
    for one in STATEMENTS:
        assert one.title
        assert one.claim.endswith(".")
        assert one.source
        assert "Args:" in (one.__doc__ or "")


def test_statements_are_chosen_by_number_or_name():
    assert chosen([]) == list(STATEMENTS)
    assert [one.number for one in chosen(["3,1", "closed_form_gradients"])] == [1, 2, 3]
    with pytest.raises(UserError, match="closed_form_gradients"):
        chosen(["closed_form_gradient"])


def test_one_number_stands_for_a_list_and_nothing_is_refused():
    result = ista_with_identity_shrinks(step_sizes=0.5, seeds=3)
    assert result.settings["step_sizes"] == (0.5,)
    assert {one.at["eta"] for one in result.cases} == {0.5}
    with pytest.raises(UserError, match="seeds is empty"):
        ista_with_identity_shrinks(seeds=())


def test_result_is_plain_json():
    result = rate_from_either_gram_matrix(shapes=((3, 4),), seeds=(0,))
    stored = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert stored["verdict"] == "holds"
    assert stored["cases"][0]["holds"] is True
    assert stored["decisive"]["expected"] == result.expected == 0
    assert stored["settings"] == {"shapes": [[3, 4]], "eps": 0.1, "seeds": [0]}
