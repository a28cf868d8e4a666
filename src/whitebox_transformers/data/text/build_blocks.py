"""From documents to the splits of a language model: one corpus each, cut into blocks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from transformers import PreTrainedTokenizerBase

from whitebox_transformers.data.text.causal import CausalBlocks
from whitebox_transformers.data.text.config import TextDataConfig
from whitebox_transformers.data.text.corpus import Corpus, build_corpus
from whitebox_transformers.data.text.documents import DocumentSource, texts
from whitebox_transformers.data.text.encode import Encoder
from whitebox_transformers.data.text.masked import MaskedBlocks, Masker
from whitebox_transformers.data.text.special_tokens import Objective, end_of_document
from whitebox_transformers.errors import UserError

Blocks = CausalBlocks | MaskedBlocks


@dataclass
class BlockSplits:
    """How documents become tokens, and tokens a split."""

    data: TextDataConfig
    encoder: Encoder
    separator: int | None
    """Id of the token that ends a document; None: there is but one document."""
    size: int
    """Tokens of the text in a block."""
    moving: Callable[[Corpus], Blocks]
    """For training."""
    fixed: Callable[[Corpus], Blocks]
    """For evaluation."""

    @classmethod
    def of(
        cls,
        data: TextDataConfig,
        tokenizer: PreTrainedTokenizerBase,
        objective: Objective,
        several: bool,
        context: int,
        seed: int,
    ) -> BlockSplits:
        """What an objective wants.

        Args:
            data: The recipe's block.
            tokenizer: With the special tokens of the objective.
            objective: ``causal`` or ``masked``.
            several: Whether there is more than one document.
            context: Tokens in a sample.
            seed: The run's.

        Raises:
            UserError: The context is too short.
        """
        common = {"context": context, "cross_documents": data.cross_documents}
        if objective == "causal":
            size, least = context, 2
            moving = partial(CausalBlocks, seed=seed, moving=True, **common)
            fixed = partial(CausalBlocks, seed=seed, moving=False, **common)
        else:
            masker = Masker(tokenizer, data.mask_share, data.mask_whole_words)
            size, least = context - masker.frame, 1
            common["masker"] = masker
            moving = partial(MaskedBlocks, seed=seed, moving=True, **common)
            fixed = partial(MaskedBlocks, seed=data.split_seed, moving=False, **common)
        if size < least:
            raise UserError(
                f"a context of {context} tokens is too short: it holds {max(size, 0)} tokens of "
                "text"
            )
        encoder = Encoder(tokenizer, words=objective == "masked" and data.mask_whole_words)
        separator = end_of_document(tokenizer, objective) if several else None
        return cls(data, encoder, separator, size, moving, fixed)

    def corpus(self, source: DocumentSource, role: str) -> Corpus:
        """The tokens of a split.

        Raises:
            UserError: They do not fill a block.
        """
        corpus = build_corpus(
            self.encoder.encode(texts(source)),
            separator=self.separator,
            vocabulary=len(self.encoder.tokenizer),
            title=f"tokenising {role} text",
        )
        if len(corpus) < self.size:
            raise UserError(
                f"the {role} text of {self.data.place_of(role)} has {len(corpus)} tokens, fewer "
                f"than one block of {self.size}; give more text, raise data.{role}_share or "
                "shorten the context"
            )
        return corpus
