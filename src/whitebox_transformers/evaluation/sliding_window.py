"""How a text longer than a model's context is cut so that every prediction is made once.

A position is where a prediction is made. For a causal model that is every token but the last,
whose successor is predicted there; for a masked model it is every token. The first window takes
as many positions as fit. Each further one moves on by the stride, scores the positions that no
window has scored yet, and reads as many tokens before them as the context holds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

Shape = tuple[int, int]


@dataclass(frozen=True)
class Window:
    """One piece of one text, as the model reads it.

    Attributes:
        text: Number of the text.
        begin: First position read.
        end: One past the last.
        scored: How many of the last positions this window scores.
    """

    text: int
    begin: int
    end: int
    scored: int

    @property
    def shape(self) -> Shape:
        """Positions read and scored; windows of equal shape make a batch without padding."""
        return self.end - self.begin, self.scored


def windows(text: int, positions: int, context: int, stride: int) -> Iterator[Window]:
    """The windows of one text; their scored parts are its positions in order, each once.

    Args:
        text: Number of the text.
        positions: How many predictions it asks for.
        context: Positions that the model reads at once.
        stride: Positions that each window after the first scores, 1 to ``context``; they are
            predicted from ``context - stride`` tokens before them at least.
    """
    end = 0
    while end < positions:
        scored = min(stride if end else context, positions - end)
        end += scored
        yield Window(text, max(0, end - context), end, scored)


def by_shape(found: Iterable[Window], rows: Callable[[Shape], int]) -> Iterator[list[Window]]:
    """Batches of windows of one shape, ``rows(shape)`` in each, the last ones fewer.

    Holds one unfinished batch for every shape; a long text has three shapes at most.
    """
    waiting: dict[Shape, list[Window]] = defaultdict(list)
    for window in found:
        batch = waiting[window.shape]
        batch.append(window)
        if len(batch) == rows(window.shape):
            yield waiting.pop(window.shape)
    yield from waiting.values()
