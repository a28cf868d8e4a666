"""Labels that do not fit are refused by name, place and mend; those that do pass unchanged."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from whitebox_transformers.crate.labels import (
    check_class_labels,
    check_sequence_labels,
    check_span,
)

ONE, SEVERAL, TARGETS = (
    "single_label_classification",
    "multi_label_classification",
    "regression",
)


def sequence(labels, num_labels: int, problem_type: str | None = None) -> torch.Tensor:
    config = SimpleNamespace(num_labels=num_labels, problem_type=problem_type)
    return check_sequence_labels(labels, 2, config, training=True)


def test_class_labels_within_range_pass() -> None:
    labels = torch.tensor([[0, 3], [-100, 1]])
    for dtype in (torch.int64, torch.int32):
        check_class_labels(labels.to(dtype), (2, 2), 4, training=True)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.tensor([[0, 4], [1, 2]]), r"labels\[0, 1\] = 4 is not one of 4 classes, 0 to 3, or"),
        (torch.tensor([[-100, 3], [-1, 2]]), r"labels\[1, 0\] = -1 is not one of 4 classes"),
        (torch.tensor([0, 1]), r"labels has shape \(2,\); expected \(2, 2\)"),
        (torch.zeros(2, 2), r"labels has type torch.float32; expected whole numbers"),
    ],
)
def test_other_class_labels_are_refused(labels, message) -> None:
    with pytest.raises(ValueError, match=message):
        check_class_labels(labels, (2, 2), 4, training=True)


@pytest.mark.parametrize(
    ("labels", "num_labels", "problem_type"),
    [
        (torch.tensor([0, 2]), 3, None),
        (torch.tensor([[0], [2]]), 3, None),
        (torch.tensor([0, -100]), 3, ONE),
        (torch.tensor([[0.0, 1.0, 1.0], [0.0, 0.0, 0.0]]), 3, None),
        (torch.tensor([[0, 1, 1], [0, 0, 0]]), 3, SEVERAL),
        (torch.tensor([0.5, -2.0], dtype=torch.float64), 1, None),
        (torch.tensor([3, 4]), 1, None),
        (torch.tensor([[0.5], [1.0]]), 1, TARGETS),
        (torch.tensor([[0.5, 1.0], [2.0, 3.0]]), 2, TARGETS),
    ],
)
def test_sequence_labels_that_fit_pass_unchanged(labels, num_labels, problem_type) -> None:
    passed = sequence(labels, num_labels, problem_type)
    assert torch.equal(passed.double().flatten(), labels.double().flatten())
    classes = problem_type == ONE or (
        problem_type is None and num_labels > 1 and not labels.is_floating_point()
    )
    assert passed.is_floating_point() != classes


@pytest.mark.parametrize(
    ("labels", "num_labels", "problem_type", "message"),
    [
        (torch.tensor([0, 3]), 3, None, r"labels\[1\] = 3 is not one of 3 classes"),
        (torch.tensor([0, 1, 2]), 3, None, r"labels has shape \(3,\); expected \(2,\)"),
        (torch.tensor([[0, 1, 1], [0, 0, 0]]), 3, None, r"shape \(2, 3\); expected \(2,\)"),
        (torch.tensor([0.0, 1.0]), 3, ONE, "labels has type torch.float32"),
        (torch.tensor([0.0, 1.0]), 3, None, r"shape \(2,\); expected \(2, 3\)"),
        (torch.tensor([0, 1]), 3, SEVERAL, r"shape \(2,\); expected \(2, 3\)"),
        (torch.tensor([0.5, 1.0, 2.0]), 1, None, r"shape \(3,\); expected \(2,\) or \(2, 1\)"),
        (torch.tensor([0.5, 1.0]), 2, TARGETS, r"shape \(2,\); expected \(2, 2\)"),
    ],
)
def test_other_sequence_labels_are_refused(labels, num_labels, problem_type, message) -> None:
    with pytest.raises(ValueError, match=message):
        sequence(labels, num_labels, problem_type)


def test_spans_are_places_of_tokens_or_beyond_them() -> None:
    start, end = torch.tensor([0, 512]), torch.tensor([[3], [512]])
    check_span(start, end, 2, training=True)
    with pytest.raises(ValueError, match=r"start_positions\[0\] = -1 is not the place of a token"):
        check_span(start - 1, end, 2, training=True)
    with pytest.raises(ValueError, match=r"end_positions has shape \(1, 1\); expected \(2,\)"):
        check_span(start, end[:1], 2, training=True)
    with pytest.raises(ValueError, match="start_positions has type torch.float32"):
        check_span(start.float(), end, 2, training=True)
