"""Documents to token ids."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from transformers import PreTrainedTokenizerBase

from whitebox_transformers.data.text.chunks import chunks
from whitebox_transformers.data.text.documents import Text
from whitebox_transformers.errors import UserError

# Characters handed to the tokenizer at once: enough for its threads, little enough to hold.
BATCH = 1 << 20


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


class Encoder:
    """Encodes documents without adding special tokens; what looks like one in a text is text.

    Args:
        tokenizer: Any. Long documents are cut for its threads where that changes no token.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.tokenizer = tokenizer
        # Tokenizers without a fast form have none.
        self.backend: Any = getattr(tokenizer, "backend_tokenizer", None)
        parts = json.loads(self.backend.to_str()) if self.backend else {}
        self.cuts = _begins_anew_at_lines(parts)
        self.byte_lengths = _byte_lengths(tokenizer) if _is_byte_level(parts) else None

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
                yield Encoded(ids, text.bytes, first, text.ending)

    def _encode(self, pieces: list[str], batch: list[Text]) -> list[Any]:
        if self.backend is None:
            ids = self.tokenizer(pieces, add_special_tokens=False, verbose=False)["input_ids"]
            return [_Plain(piece) for piece in ids]
        self.backend.no_truncation()
        self.backend.no_padding()
        self.backend.encode_special_tokens = True
        # Without offsets it is a third faster; only other than byte-level tokenizers need them.
        encode = self.backend.encode_batch if self.byte_lengths is None else (
            self.backend.encode_batch_fast
        )  # fmt: skip
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
        if self.byte_lengths is not None:
            return int(self.byte_lengths[ids[0]])
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


def _is_byte_level(parts: dict[str, Any]) -> bool:
    return (parts.get("decoder") or {}).get("type") == "ByteLevel"


def _begins_anew_at_lines(parts: dict[str, Any]) -> bool:
    """Whether ``chunks`` may cut: the tokens after a line's end do not depend on those before."""
    before = parts.get("pre_tokenizer") or {}
    words = before.get("type") == "ByteLevel" and before["use_regex"]
    words = words and not before["add_prefix_space"]
    known = words or before.get("type") == "WhitespaceSplit" or (
        before.get("type") == "Split" and before["pattern"] == {"Regex": "(?m)."}
    )  # fmt: skip
    return bool(known) and not parts.get("normalizer")


def _byte_lengths(tokenizer: PreTrainedTokenizerBase) -> np.ndarray:
    """Bytes that each token stands for: one for each character of its name."""
    lengths = np.zeros(len(tokenizer), dtype=np.int64)
    for name, index in tokenizer.get_vocab().items():
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
