"""A person's text as tokens, and what a tokenizer puts around it."""

from __future__ import annotations

from transformers import BatchEncoding, PreTrainedTokenizerBase

from whitebox_transformers.errors import UserError


def encoding_of(
    tokenizer: PreTrainedTokenizerBase, text: str, special: bool = False
) -> BatchEncoding:
    """The text's tokens alone, however long it is.

    Args:
        tokenizer: Any of the ``tokenizers`` library.
        text: Any.
        special: Whether what looks like a special token, such as ``<mask>``, is one, for a person
            who writes it on purpose; otherwise it is text, as in training.

    Raises:
        UserError: It was not UTF-8, or has a character that the tokenizer knows neither as itself
            nor as unknown.
    """
    if not is_unicode(text):
        raise UserError(f"the text {ascii(text[:20])} is not UTF-8; convert it first")
    try:
        return tokenizer(
            text, add_special_tokens=False, split_special_tokens=not special, verbose=False
        )
    # The library has no exception of its own.
    except Exception as error:
        if "[UNK]" not in str(error):
            raise
        known = tokenizer.get_vocab()
        missing = next((char for char in text if char not in known), "a part of it")
        raise UserError(
            f"the text {text[:20]!r} cannot be read: the tokenizer has no token for {missing!r}, "
            f"which its corpus lacked; leave it out"
        ) from error


def is_unicode(text: str) -> bool:
    """Whether a text can be written as UTF-8; bytes of another encoding come as lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def tokens_around(tokenizer: PreTrainedTokenizerBase) -> tuple[list[int], list[int]]:
    """Tokens that a tokenizer itself puts before and after a text."""
    text = known_text(tokenizer)
    bare = tokenizer(text, add_special_tokens=False)["input_ids"]
    framed = tokenizer(text)["input_ids"]
    for start in range(len(framed) - len(bare) + 1):
        if framed[start : start + len(bare)] == bare:
            return framed[:start], framed[start + len(bare) :]
    return [], []


def known_text(tokenizer: PreTrainedTokenizerBase) -> str:
    """A short text that the tokenizer has tokens for; a vocabulary of characters may lack any."""
    special = set(tokenizer.all_special_tokens)
    words = sorted(word for word in tokenizer.get_vocab() if word not in special)
    for text in ("a", *words):
        try:
            if encoding_of(tokenizer, text)["input_ids"]:
                return text
        except UserError:
            continue
    return ""
