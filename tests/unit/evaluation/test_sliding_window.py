"""Windows score every position once and read as much as the context holds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.oracles.language_scores import last_position_of

from whitebox_transformers.evaluation.sliding_window import by_shape, windows


@st.composite
def cuts(draw) -> tuple[int, int, int]:
    context = draw(st.integers(1, 12))
    return draw(st.integers(0, 60)), context, draw(st.integers(1, context))


@given(cuts())
def test_every_position_is_scored_once_in_order(cut):
    positions, context, stride = cut
    scored = [p for w in windows(0, *cut) for p in range(w.end - w.scored, w.end)]
    assert scored == list(range(positions))


@given(cuts())
def test_windows_are_those_of_the_definition(cut):
    positions, context, stride = cut
    for window in windows(3, *cut):
        assert window.text == 3
        assert window.begin == max(0, window.end - context)
        for position in range(window.end - window.scored, window.end):
            assert window.end == last_position_of(position, *cut)
            if position >= context:
                # What the stride promises: so many tokens before the one that predicts.
                assert position - window.begin >= context - stride


def test_batches_have_one_shape_and_lose_nothing():
    found = [w for text, n in enumerate([30, 7, 30, 2, 7, 7, 31]) for w in windows(text, n, 8, 3)]
    batches = list(by_shape(found, lambda shape: 2 if shape[0] == 8 else 3))
    assert sorted(map(id, (w for batch in batches for w in batch))) == sorted(map(id, found))
    for batch in batches:
        assert len({w.shape for w in batch}) == 1
        assert len(batch) <= (2 if batch[0].shape[0] == 8 else 3)
    assert max(map(len, batches)) == 3


def test_batches_come_before_all_windows_are_known():
    taken = []

    def endless():
        while True:
            taken.append(1)
            yield from windows(0, 4, 4, 4)

    assert len(next(by_shape(endless(), lambda _: 5))) == 5
    assert len(taken) == 5


@pytest.mark.parametrize("positions", [1, 4, 5])
def test_a_short_text_is_one_window(positions):
    (window,) = windows(0, positions, 5, 2)
    assert (window.begin, window.end, window.scored) == (0, positions, positions)
