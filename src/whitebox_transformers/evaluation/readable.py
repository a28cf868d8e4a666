"""Tokens as the text that a person reads."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from transformers import PreTrainedTokenizerBase


class Readable:
    """Decodes without special tokens, but for that of unknown words, which stands for one.

    It has the method that Hugging Face's streamers ask of a tokenizer, so that what is streamed
    reads like what is returned.

    Args:
        tokenizer: Any of Hugging Face's.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.tokenizer = tokenizer
        # GPT-2's tokenizer calls its end of text its unknown token, too.
        ends = (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id)
        shown = [] if tokenizer.unk_token_id in ends else [tokenizer.unk_token_id]
        self.hidden = [number for number in tokenizer.all_special_ids if number not in shown]

    def decode(self, tokens: int | Iterable[int] | torch.Tensor, **kwargs) -> str:
        """Text of token numbers, or of one number; ``kwargs`` are the tokenizer's."""
        numbers = tokens.tolist() if isinstance(tokens, torch.Tensor) else tokens
        numbers = [numbers] if isinstance(numbers, int) else numbers
        seen = [number for number in numbers if number not in self.hidden]
        return str(self.tokenizer.decode(seen, **{**kwargs, "skip_special_tokens": False}))


__all__ = ["Readable"]
