"""Read everything once before any work: what cannot be used is named, what can is measured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b

from tqdm.auto import tqdm

from whitebox_transformers.data.text.documents import BadDocument, DocumentSource, read


@dataclass
class Survey:
    """What one source holds."""

    documents: int = 0
    """Usable ones."""
    characters: int = 0
    bytes: int = 0
    """UTF-8 bytes, separators included."""
    alphabet: set[str] = field(default_factory=set)
    """The characters that occur."""
    digest: str = ""
    """Changes with every byte, every border between documents, and their keys."""
    bad: list[BadDocument] = field(default_factory=list)


def survey(source: DocumentSource, title: str) -> Survey:
    """Read a source to its end.

    Args:
        source: Documents.
        title: Label of the progress bar.
    """
    found, digest = Survey(), blake2b(digest_size=16)
    for document in _with_bar(source, title):
        try:
            text = read(document)
        except BadDocument as fault:
            found.bad.append(fault)
            continue
        if text.is_nothing:
            continue
        content = text.text.encode()
        found.documents += 1
        found.characters += len(text.text)
        found.bytes += len(content) + text.ending
        found.alphabet.update(text.text, text.pair or "")
        key = document.key.encode("utf-8", "surrogateescape")
        digest.update(b"%d %d %d " % (len(key), len(content), text.ending))
        digest.update(key)
        digest.update(content)
    found.digest = digest.hexdigest()
    return found


def _with_bar(source: DocumentSource, title: str) -> Iterator:
    return iter(tqdm(source.documents(None), desc=title, unit="document", leave=False, delay=1.0,
                     mininterval=0.5))  # fmt: skip
