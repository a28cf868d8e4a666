"""Tables of texts, whatever stores them: named columns, rows in passing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from whitebox_transformers.data.text.documents import BadDocument


class Row(NamedTuple):
    """Some columns of a row."""

    name: str
    """What to call it in messages: a file and a line, say."""
    values: tuple[Any, ...]
    """In the order in which the columns were asked for; None where there is nothing."""
    fault: BadDocument | None = None
    """Why it cannot be read; it has no values then."""


class Table(Protocol):
    """One file, or one split of a data set."""

    @property
    def where(self) -> str:
        """What to call it in messages."""
        ...

    @property
    def columns(self) -> Sequence[str]: ...

    def class_names(self, column: str) -> list[str] | None:
        """Names stored with a column of class numbers, if there are any."""
        ...

    def rows(self, columns: Sequence[str], seed: int | None) -> Iterator[Row]:
        """All rows; ``seed`` decides their order as far as that needs no memory, None: none."""
        ...
