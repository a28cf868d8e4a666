"""A text to score as tokens, with the bytes and words that its predictions stand for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import BatchEncoding, PreTrainedTokenizerFast

from whitebox_transformers.data.text.encode import name_length
from whitebox_transformers.evaluation.language_model import LanguageModel
from whitebox_transformers.evaluation.tokens import encoding_of


@dataclass(frozen=True)
class EncodedText:
    """One text as tokens.

    Attributes:
        tokens: (n,) int64, the tokenizer's opening tokens included where the model is causal.
        bytes: UTF-8 bytes of what is predicted.
        words: White-space separated words in it.
        last_word: How many tokens at the end belong to the last word; 0 if nobody asked.
    """

    tokens: Tensor
    bytes: int
    words: int
    last_word: int


def end_token(language: LanguageModel) -> int | None:
    """The token by which a causal model was taught that a text ends, if there is one."""
    number = language.tokenizer.eos_token_id
    return number if language.kind == "causal" and isinstance(number, int) else None


def encode(
    language: LanguageModel, text: str, ending: int | None = None, last_word: bool = False
) -> EncodedText:
    """One text as tokens.

    Args:
        language: Model and tokenizer.
        text: What to encode; what looks like a special token in it is text, as in training.
        ending: Bytes of what ends the text, for which the end token stands; ``None``: nothing does.
        last_word: Whether to count the tokens of its last word.
    """
    return encode_together(language, [text], [ending], last_word)


def encode_together(
    language: LanguageModel,
    texts: Sequence[str],
    endings: Sequence[int | None],
    last_word: bool = False,
) -> EncodedText:
    """Texts after each other as the tokens of one; the arguments are those of :func:`encode`."""
    opening = language.opening if language.kind == "causal" else []
    end = end_token(language)
    tokens, size, words = [*opening], 0, 0
    encoding, numbers = None, []
    for text, ending in zip(texts, endings, strict=True):
        encoding = encoding_of(language.tokenizer, text)
        numbers = encoding["input_ids"]
        closing = [] if end is None or ending is None else [end]
        # A causal model without an opening token reads the first token and predicts from there on.
        unread = not tokens and language.kind == "causal"
        tokens += [*numbers, *closing]
        size += len(text.encode()) + (ending or 0) * len(closing)
        words += len(text.split())
        if unread and tokens:
            size -= _first_bytes(language.tokenizer, encoding, text) if numbers else ending or 0
            words -= len(text.split()) - len(text[_second_begins(encoding, text) :].split())
    tail = _last_word(encoding, len(numbers), texts[-1]) if last_word and encoding else 0
    return EncodedText(torch.tensor(tokens), size, words, tail)


def _first_bytes(tokenizer: PreTrainedTokenizerFast, encoding: BatchEncoding, text: str) -> int:
    """UTF-8 bytes that the first token stands for.

    A character may be split among tokens, whose places in the text then are the same; the names of
    byte-level tokens tell how many of its bytes are the first one's.
    """
    begins = _second_begins(encoding, text)
    first = encoding.token_to_chars(0)
    if first is not None and begins < first.end:
        named = name_length(tokenizer, encoding["input_ids"][0], text)
        return 0 if named is None else named
    return len(text[:begins].encode())


def _second_begins(encoding: BatchEncoding, text: str) -> int:
    """Where in the text the second token begins; those that stand for no character are passed."""
    for index in range(1, len(encoding["input_ids"])):
        span = encoding.token_to_chars(index)
        if span is not None:
            return span.start
    return len(text)


def _last_word(encoding: BatchEncoding, tokens: int, text: str) -> int:
    """How many tokens at the end stand for the characters after the last white space."""
    text = text.rstrip()
    begin = len(text) - len(text.rsplit(maxsplit=1)[-1])
    count = 0
    while count < tokens:
        span = encoding.token_to_chars(tokens - 1 - count)
        if span is not None and span.end <= begin:
            break
        count += 1
    return count
