"""A line of text whose tokens are marked by how large something is at each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from whitebox_transformers.report.axes import number

SHADES = 9
"""The style sheet has as many, from faint to dark."""


def marked(
    pieces: Sequence[str], values: Sequence[float], largest: float, at: int | None = None
) -> str:
    """Tokens as HTML; where the value is not zero it is a mark that carries its value.

    Args:
        pieces: The text, token by token.
        values: One for each token; negative ones have a colour of their own.
        largest: The size that has the darkest shade.
        at: Place of a token that is outlined.
    """
    parts = []
    for place, (piece, value) in enumerate(zip(pieces, values, strict=True)):
        depth = shade(value, largest)
        kind = f"{'n' if value < 0 else 'm'}{depth}"
        if depth or place == at:
            outlined = " at" if place == at else ""
            parts.append(
                f'<mark class="{kind}{outlined}" title="{number(value)}">{escape(piece)}</mark>'
            )
        else:
            parts.append(escape(piece))
    return "".join(parts)


def shade(value: float, largest: float) -> int:
    """0 for nothing, 1 to ``SHADES`` otherwise."""
    if not value or not largest or math.isnan(value):
        return 0
    return min(SHADES, math.ceil(SHADES * abs(value) / largest))
