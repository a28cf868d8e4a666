"""One document as it lies in its source, and how it becomes text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from whitebox_transformers.data.faults import Fault

# As much of a file as is searched for a zero byte, which no text has.
BINARY_PROBE = 8192
BYTE_ORDER_MARK = "\ufeff"


class BadDocument(Fault):
    """A document that is not text; says which and why."""


class Document(NamedTuple):
    """A piece of text that belongs together, perhaps still to be read."""

    name: str
    """What to call it in messages: a path, or a file and a line or row."""
    key: str
    """What decides on its split: the path inside its folder, or a digest of its content."""
    content: bytes | str | Path | BadDocument | None
    """What it holds, where that can be read, or why it cannot."""
    ending: int = 0
    """Bytes of the separator that ends it in its file."""
    offset: int = 0
    """Where its content begins in its file, in bytes."""
    pair: str | BadDocument | None = None
    """The second text of its row, where texts come in pairs."""
    label: Any = None
    """The label of its row, as it is stored."""


class Text(NamedTuple):
    """A document that has been read."""

    name: str
    text: str
    ending: int
    """Bytes of the separator that ends it in its file."""
    pair: str | None = None
    """The second text of its row, where texts come in pairs."""
    label: Any = None
    """The label of its row, as it is stored."""

    @property
    def is_nothing(self) -> bool:
        """Whether nothing would be lost without it.

        An empty one that a separator ends, such as a blank line, is a part of its file, and one
        with a label is an answer to be given.
        """
        return not (self.text or self.ending or self.pair or self.label is not None)

    @property
    def bytes(self) -> int:
        """UTF-8 bytes of the text, its ending left out."""
        return len(self.text.encode())


class DocumentSource(Protocol):
    """Documents in passing, in an order that ``seed`` decides; None: as they lie."""

    def documents(self, seed: int | None) -> Iterator[Document]: ...


def read(document: Document) -> Text:
    """The text of a document, without the byte order mark that its file may begin with.

    Raises:
        BadDocument: It cannot be read, is missing, is binary or is not UTF-8.
    """
    name, _, content, ending, offset, pair, label = document
    try:
        if isinstance(content, Path):
            content = content.read_bytes()
        if content is None:
            raise BadDocument(name, "there is no text")
        if isinstance(content, BadDocument):
            raise content
        if isinstance(pair, BadDocument):
            raise pair
        if isinstance(content, str):
            content.encode()  # refuses lone surrogates, which are no characters
            return Text(name, content, ending, pair, label)
        zero = content.find(0, 0, BINARY_PROBE)
        if zero >= 0:
            raise BadDocument(name, f"binary: byte {offset + zero} is zero, which no text has")
        text = content.decode()
        if not offset:  # Windows' editors begin a file with a mark that is none of its text
            text = text.removeprefix(BYTE_ORDER_MARK)
        return Text(name, text, ending, pair, label)
    except OSError as error:
        raise BadDocument(name, error.strerror or str(error)) from error
    except UnicodeDecodeError as error:
        value = error.object[error.start]
        reason = f"not UTF-8: byte {offset + error.start} is {value:#04x}, {error.reason}"
        raise BadDocument(name, reason) from error
    except UnicodeEncodeError as error:
        raise BadDocument(name, f"character {error.start} is a lone surrogate") from error


def texts(source: DocumentSource) -> Iterator[Text]:
    """All documents in order that are text and hold something."""
    for document in source.documents(None):
        try:
            text = read(document)
        except BadDocument:
            continue  # `survey` has judged them
        if not text.is_nothing:
            yield text
