"""What single tokens look like inside a line of text."""

from __future__ import annotations

import re
from collections.abc import Iterable

from transformers import PreTrainedTokenizerBase

from whitebox_transformers.evaluation.tokens import encoding_of, known_text

# Shown instead of characters that would break the line or be invisible.
VISIBLE = str.maketrans({"\n": "↵", "\r": "␍", "\t": "⇥", "\u200b": "␣"})
SPACES = re.compile(" +")
MOST_SPACES, LONGEST_NAME = 3, 24


class TokenText:
    """Pieces of text by token number, spaces as the tokenizer would put them.

    Args:
        tokenizer: Any of Hugging Face's.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.tokenizer = tokenizer
        self._pieces: dict[int, str] = {}
        # A token before the one asked for shows whether a space belongs between them.
        self._before = list(encoding_of(tokenizer, known_text(tokenizer))["input_ids"])
        self._shift = len(self._decode(self._before))

    def __call__(self, token: int) -> str:
        """The piece of text that a token stands for."""
        if token >= len(self.tokenizer):  # a row of the model that no token uses
            return f"[unused{token}]"
        if token not in self._pieces:
            self._pieces[token] = self._decode([*self._before, token])[self._shift :]
        return self._pieces[token]

    def visible(self, token: int) -> str:
        """The same with line ends and tabs as symbols; never empty."""
        return self(token).translate(VISIBLE) or "∅"

    def name(self, token: int) -> str:
        """The token in a list of tokens: spaces as symbols too, many as their number."""
        piece = SPACES.sub(_symbols, self.visible(token))
        return piece if len(piece) <= LONGEST_NAME else piece[: LONGEST_NAME - 1] + "…"

    def line(self, tokens: Iterable[int]) -> str:
        """Tokens as one line of text."""
        return "".join(map(self.visible, tokens))

    def _decode(self, tokens: list[int]) -> str:
        return str(self.tokenizer.decode(tokens, clean_up_tokenization_spaces=False))


def _symbols(spaces: re.Match[str]) -> str:
    count = len(spaces[0])
    return "␣" * count if count <= MOST_SPACES else f"␣×{count}"
