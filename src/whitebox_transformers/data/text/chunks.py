"""Long documents cut where no token can reach across, so that many threads can encode them."""

from __future__ import annotations

import re
from collections.abc import Iterator

# A single line end between two visible characters. GPT-2's expression for words, splitting at
# white space and splitting into characters all begin anew there, and treat both sides as they
# would in one piece; in a longer run of white space the words depend on what follows it.
SAFE = re.compile(r"(?<=\S\n)(?=\S)")
SIZE = 1 << 14


def chunks(text: str, size: int = SIZE) -> Iterator[str]:
    """Pieces of ``size`` characters or a little more, which together are the text."""
    begin = 0
    while border := SAFE.search(text, begin + size):
        yield text[begin : border.start()]
        begin = border.start()
    yield text[begin:]
