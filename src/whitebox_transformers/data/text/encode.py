"""Documents to token ids."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import tokenizers
from tokenizers import Tokenizer, decoders
from transformers import PreTrainedTokenizerBase

from whitebox_transformers.data.text.chunks import chunks
from whitebox_transformers.data.text.documents import Text
from whitebox_transformers.errors import UserError

# Characters handed to the tokenizer at once: enough for its threads, little enough to hold.
BATCH = 1 << 20
# The byte of a space in the names of byte-level tokens.
SPACE = "Ġ"
# How our tokenizer of characters splits.
CHARACTERS = {"Regex": "(?m)."}


class Encoded(NamedTuple):
    """The tokens of one document."""

    ids: np.ndarray
    """(tokens,) int64."""
    bytes: int
    """UTF-8 bytes of the document, its ending left out."""
    first_bytes: int
    """UTF-8 bytes that the first token stands for; all of them if there is no token."""
    ending: int
    """Bytes of the separator that ended the document."""
    word_starts: np.ndarray | None = None
    """(tokens,) bool: which tokens begin a word, if anybody asked."""


class Encoder:
    """Encodes documents without adding special tokens; what looks like one in a text is text.

    Args:
        tokenizer: Any. Long documents are cut for its threads where that changes no token.
        words: Whether to tell where words begin, which are what the tokenizer itself takes for
            words.

    Raises:
        UserError: It has no notion of words.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, words: bool = False) -> None:
        self.tokenizer = tokenizer
        self.words = words
        self.backend, parts = _copy_of_backend(tokenizer)
        if words and not _has_words(parts):
            raise UserError(
                "data.mask_whole_words=true needs a tokenizer that splits text into words before "
                "it splits words into tokens; this one does not"
            )
        self.cuts = _begins_anew_at_lines(parts)
        self.byte_level = _is_byte_level(tokenizer)

    @property
    def recipe(self) -> str | None:
        """Everything that decides the tokens of a text; None if nobody can tell."""
        if self.backend is None:
            return None
        return f"{tokenizers.__version__} words={self.words} {self.backend.to_str()}"

    def encode(self, texts: Iterable[Text]) -> Iterator[Encoded]:
        """The tokens of each document, in order.

        Raises:
            UserError: The tokenizer knows a character neither as itself nor as unknown.
        """
        for batch in _batches(texts):
            pieces = [list(chunks(text.text)) if self.cuts else [text.text] for text in batch]
            flat = [piece for document in pieces for piece in document]
            encodings = iter(self._encode(flat, batch))
            for text, document in zip(batch, pieces, strict=True):
                found = [next(encodings) for _ in document]
                ids = np.concatenate([np.asarray(piece.ids, dtype=np.int64) for piece in found])
                first = self._first_bytes(ids, found[0], document[0], text)
                words = np.concatenate([_starts(piece) for piece in found]) if self.words else None
                yield Encoded(ids, text.bytes, first, text.ending, words)

    def _encode(self, pieces: list[str], batch: list[Text]) -> list[Any]:
        if self.backend is None:
            ids = self.tokenizer(pieces, add_special_tokens=False, verbose=False)["input_ids"]
            return [_Plain(piece) for piece in ids]
        # A third faster, but it tells neither words nor, which others need, places in the text.
        fast = self.byte_level and not self.words
        encode = self.backend.encode_batch_fast if fast else self.backend.encode_batch
        try:
            return encode(pieces, add_special_tokens=False)
        # The library has no exception of its own.
        except Exception as error:
            if "[UNK]" not in str(error):
                raise
            raise UserError(self._unknown(batch)) from error

    def _first_bytes(self, ids: np.ndarray, encoding: Any, piece: str, text: Text) -> int:
        if not len(ids) or (len(ids) == 1 and len(piece) == len(text.text)):
            return text.bytes
        named = name_length(self.tokenizer, int(ids[0]), piece) if self.byte_level else None
        if named is not None:
            return named
        span = encoding.token_to_chars(1)
        return len(piece[: None if span is None else span[0]].encode())

    def _unknown(self, batch: list[Text]) -> str:
        known = self.tokenizer.get_vocab()
        for text in batch:
            for position, character in enumerate(text.text):
                if character not in known:
                    return (
                        f"{text.name}: the tokenizer has no token for {character!r} (character "
                        f"{position}), which its corpus lacked; tokenizer.kind=bpe knows all text"
                    )
        return f"{batch[0].name}: the tokenizer has no token for a part of the text"


class _Plain(NamedTuple):
    """What a tokenizer without a fast form says of a text."""

    ids: list[int]

    def token_to_chars(self, token: int) -> None:
        """Nothing is known of places in the text."""


def _starts(encoding: Any) -> np.ndarray:
    """Which tokens belong to another word than the one before."""
    words = np.array([-1 if word is None else word for word in encoding.word_ids], dtype=np.int64)
    return np.diff(words, prepend=-2) != 0


def _copy_of_backend(
    tokenizer: PreTrainedTokenizerBase,
) -> tuple[Tokenizer | None, dict[str, Any]]:
    """The fast form, if there is one, with settings of our own; and its description."""
    backend: Any = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return None, {}
    described = backend.to_str()
    copy = Tokenizer.from_str(described)
    copy.no_truncation()
    copy.no_padding()
    copy.encode_special_tokens = True
    return copy, json.loads(described)


def _has_words(parts: dict[str, Any]) -> bool:
    """Whether text is split into words first, and not into characters."""
    before = parts.get("pre_tokenizer")
    return before is not None and before.get("pattern") != CHARACTERS


def _is_byte_level(tokenizer: PreTrainedTokenizerBase) -> bool:
    backend: Any = getattr(tokenizer, "backend_tokenizer", None)
    return backend is not None and isinstance(backend.decoder, decoders.ByteLevel)


def _begins_anew_at_lines(parts: dict[str, Any]) -> bool:
    """Whether ``chunks`` may cut: the tokens after a line's end do not depend on those before."""
    before = parts.get("pre_tokenizer") or {}
    words = before.get("type") == "ByteLevel" and before["use_regex"]
    words = words and not before["add_prefix_space"]
    known = words or before.get("type") == "WhitespaceSplit" or (
        before.get("type") == "Split" and before["pattern"] == CHARACTERS
    )  # fmt: skip
    return bool(known) and not parts.get("normalizer")


def token_bytes(tokenizer: PreTrainedTokenizerBase) -> np.ndarray:
    """UTF-8 bytes that each token stands for, (vocabulary,) int64; none for special ones."""
    if _is_byte_level(tokenizer):
        return _name_lengths(tokenizer)
    special = set(tokenizer.all_special_ids)
    texts = ("" if i in special else tokenizer.decode([i]) for i in range(len(tokenizer)))
    return np.array([len(str(text).encode()) for text in texts])


def name_length(tokenizer: PreTrainedTokenizerBase, token: int, text: str) -> int | None:
    """UTF-8 bytes of a text that its first token stands for, where its name tells; else None.

    A space that the tokenizer itself puts before a text is none of its bytes.
    """
    if not _is_byte_level(tokenizer):
        return None
    name = str(tokenizer.convert_ids_to_tokens(token))
    return len(name) - (name.startswith(SPACE) and not text.startswith(" "))


def _name_lengths(tokenizer: PreTrainedTokenizerBase) -> np.ndarray:
    """Of byte-level tokenizers: each character of a token's name is a byte."""
    vocabulary = tokenizer.get_vocab()
    # Numbers may have gaps, as where tokens were added behind a padded vocabulary.
    lengths = np.zeros(max(vocabulary.values()) + 1, dtype=np.int64)
    for name, index in vocabulary.items():
        lengths[index] = len(name)
    lengths[tokenizer.all_special_ids] = 0
    return lengths


def _batches(texts: Iterable[Text]) -> Iterator[list[Text]]:
    batch, size = [], 0
    for text in texts:
        batch.append(text)
        size += len(text.text)
        if size >= BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
