"""Scores of labels against their formulas, from counts and ranks worked out here."""

import math

import pytest
import torch
from tests.learn.tiny_text_run import tiny_text_recipe

from whitebox_transformers.errors import UserError
from whitebox_transformers.tasks import task_of
from whitebox_transformers.tasks.label_scores import class_scores, number_scores
from whitebox_transformers.training.recipe import recipe_from_dict, recipe_to_dict


def counts(labels, found, chosen):
    pairs = list(zip(labels, found, strict=True))
    hits = sum(a == b == chosen for a, b in pairs)
    false = sum(b == chosen != a for a, b in pairs)
    missed = sum(a == chosen != b for a, b in pairs)
    return hits, false, missed, len(pairs) - hits - false - missed


def test_two_classes_are_scored_by_the_second():
    labels, found = [1, 1, 1, 0, 0, 0, 0, 1], [1, 0, 1, 0, 1, 0, 0, 1]
    hits, false, missed, rest = counts(labels, found, 1)
    scores = class_scores(torch.tensor(labels), torch.tensor(found), 2)
    assert scores["accuracy"] == pytest.approx((hits + rest) / 8)
    assert scores["f1"] == pytest.approx(2 * hits / (2 * hits + false + missed))
    product = (hits + false) * (hits + missed) * (rest + false) * (rest + missed)
    assert scores["matthews"] == pytest.approx((hits * rest - false * missed) / math.sqrt(product))


def test_f1_of_several_classes_is_their_mean_also_where_one_never_occurs():
    labels, found = [0, 1, 2, 2, 1, 0], [0, 2, 2, 2, 1, 1]
    by_class = []
    for chosen in range(3):
        hits, false, missed, _ = counts(labels, found, chosen)
        by_class.append(2 * hits / (2 * hits + false + missed))
    scores = class_scores(torch.tensor(labels), torch.tensor(found), 3)
    assert scores["f1"] == pytest.approx(sum(by_class) / 3)
    # Two of three classes alone: still a mean, not the score of the second.
    assert class_scores(torch.tensor([0, 0, 1]), torch.tensor([0, 0, 0]), 3)["f1"] == 0.4


def test_one_class_alone_says_nothing():
    scores = class_scores(torch.tensor([0, 0]), torch.tensor([0, 0]), 2)
    assert scores == {"accuracy": 1.0, "f1": 0.0, "matthews": 0.0}


def ranks(values):
    """Those of equal values are their mean."""
    ordered = sorted(values)
    return [ordered.index(value) + (ordered.count(value) + 1) / 2 for value in values]


def correlation(first, second):
    a, b = ([value - sum(values) / len(values) for value in values] for values in (first, second))
    product = sum(x * y for x, y in zip(a, b, strict=True))
    return product / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))


def test_numbers_are_scored_by_correlation_and_that_of_ranks():
    targets, found = [0.0, 1.0, 2.0, 2.0, 5.0], [0.1, 0.3, 0.2, 0.9, 1.0]
    scores = number_scores(torch.tensor(targets), torch.tensor(found, dtype=torch.float64))
    assert scores["pearson"] == pytest.approx(correlation(targets, found))
    assert scores["spearman"] == pytest.approx(correlation(ranks(targets), ranks(found)))


def test_a_constant_is_not_correlated_with_anything():
    scores = number_scores(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([2.0, 2.0, 2.0]))
    assert scores == {"pearson": 0.0, "spearman": 0.0}


def classification(metric, regression=False):
    values = recipe_to_dict(tiny_text_recipe("masked-lm", "bert", "rows.tsv"))
    values["task"], values["metric"] = "text-classification", metric
    values["data"] |= {"source": "table", "regression": regression}
    return recipe_from_dict(values)


def test_the_metric_chooses_the_weights():
    assert [s.key for s in task_of(classification("matthews")).selection] == ["matthews", "loss"]
    assert [s.key for s in task_of(classification(None)).selection] == ["accuracy", "loss"]
    assert [s.key for s in task_of(classification(None, True)).selection] == ["pearson", "loss"]


@pytest.mark.parametrize(("metric", "regression"), [("f1", True), ("spearman", False)])
def test_a_metric_of_other_labels_is_refused(metric, regression):
    with pytest.raises(UserError, match=f"metric='{metric}' is no score of"):
        classification(metric, regression)
