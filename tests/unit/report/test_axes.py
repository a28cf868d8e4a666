import math

from hypothesis import given
from hypothesis import strategies as st

from whitebox_transformers.report.axes import layer_ticks, number, span, tick_label, ticks

values = st.lists(st.floats(-1e6, 1e6).map(lambda x: round(x, 6)), min_size=1, max_size=20)


@given(values)
def test_span_contains_all_values_and_is_not_empty(points):
    low, high = span(points)
    assert low <= min(points) <= max(points) <= high
    assert low < high


def test_span_ignores_what_is_not_finite():
    assert span([math.nan, 3.0, math.inf]) == span([3.0])
    assert span([math.nan]) == (0.0, 1.0)


@given(values, st.integers(2, 8))
def test_ticks_are_few_even_and_inside(points, about):
    low, high = span(points)
    marks = ticks(low, high, about)
    assert 1 <= len(marks) <= about + 2
    slack = 1e-6 * (high - low)
    assert all(low - slack <= mark <= high + slack for mark in marks)
    gaps = [b - a for a, b in zip(marks, marks[1:], strict=False)]
    assert all(math.isclose(gap, gaps[0], rel_tol=1e-6) for gap in gaps)


@given(values)
def test_tick_labels_tell_neighbours_apart(points):
    marks = ticks(*span(points), 5)
    if len(marks) > 1:
        labels = [tick_label(mark, marks[1] - marks[0]) for mark in marks]
        assert len(set(labels)) == len(labels)


def test_layer_ticks_name_layers_only():
    assert layer_ticks([1.0]) == [1.0]
    assert layer_ticks([float(layer) for layer in range(1, 25)]) == [
        float(x) for x in range(1, 25, 2)
    ]


def test_numbers_read_like_print():
    assert [number(x) for x in (0, 0.1234, 1.234, 12.34, 123.4, 1234.5, -2.5, math.nan)] == [
        "0", "0.123", "1.23", "12.3", "123", "1,234", "−2.50", "–",
    ]  # fmt: skip
    assert number(4.2e-5) == "4.2·10⁻⁵"
