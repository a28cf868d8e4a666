"""What a recipe says about tokens: the ``tokenizer:`` block of language tasks."""

import math
from dataclasses import dataclass
from typing import Literal

from whitebox_transformers.data.config import check_choice, check_range
from whitebox_transformers.errors import UserError

KINDS = ("bpe", "characters", "words", "bytes", "pretrained")


@dataclass
class TokenizerConfig:
    """How text becomes tokens."""

    kind: Literal["bpe", "characters", "words", "bytes", "pretrained"] = "bpe"
    """``bpe``: byte-level byte-pair encoding, trained on the training split; any UTF-8 text can be
    encoded and comes back unchanged.
    ``characters``: one token for each character that occurs in the corpus.
    ``words``: one token for each word between white space, and ``<unk>`` for the others.
    ``bytes``: one token for each of the 256 bytes.
    ``pretrained``: the tokenizer of a run, of a folder or of the hub."""

    path: str | None = None
    """``pretrained`` only: a run folder, another folder, or a name on the hub. ``~`` and
    ``${VARIABLE}`` are expanded."""

    revision: str | None = None
    """``pretrained`` only: branch, tag or commit on the hub; fix it for runs to repeat."""

    vocabulary_size: int | None = None
    """``bpe``: number of tokens, the 256 bytes and the special tokens included; ``null``: 4096.
    ``words``: the largest number of tokens; ``null``: all words. A small corpus may give fewer."""

    min_frequency: int = 2
    """``bpe``: how often two tokens must stand side by side to be merged.
    ``words``: how often a word must occur to become a token."""

    sample_mib: float = 256.0
    """``bpe`` and ``words``: train on this much of the training text at most, in MiB, from its
    beginning."""

    pad_to_multiple_of: int = 1
    """The model's vocabulary is the tokenizer's, rounded up to a multiple of this; the paper's
    recipes make 50,304 of 50,257 with 64, which suits GPUs."""

    def __post_init__(self) -> None:
        check_choice("tokenizer.kind", self.kind, KINDS)
        if (self.kind == "pretrained") != (self.path is not None):
            raise UserError(
                f"tokenizer.kind={self.kind} and tokenizer.path={self.path} do not fit: "
                "pretrained needs a path, and the others take none"
            )
        if self.vocabulary_size is not None:
            check_range("tokenizer.vocabulary_size", self.vocabulary_size, 2, 2**31)
        check_range("tokenizer.min_frequency", self.min_frequency, 1, math.inf)
        check_range("tokenizer.pad_to_multiple_of", self.pad_to_multiple_of, 1, math.inf)
        if not 0 < self.sample_mib < math.inf:
            raise UserError(f"tokenizer.sample_mib={self.sample_mib} must be above 0")
