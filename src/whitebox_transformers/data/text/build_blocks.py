"""From documents to the splits of a language model: one corpus each, cut into blocks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from whitebox_transformers.data.text.causal import CausalBlocks, CausalSamples
from whitebox_transformers.data.text.config import TextDataConfig
from whitebox_transformers.data.text.corpus import Corpus, Memory, build_corpus
from whitebox_transformers.data.text.documents import DocumentSource, texts
from whitebox_transformers.data.text.encode import Encoder
from whitebox_transformers.data.text.masked import MaskedBlocks, MaskedSamples, Masker
from whitebox_transformers.data.text.samples import Samples
from whitebox_transformers.data.text.special_tokens import Objective, end_of_document
from whitebox_transformers.data.text.stored_corpus import (
    CorpusFolder,
    cache_folder,
    find_corpus,
    name_of,
)
from whitebox_transformers.data.text.stream import TextStream
from whitebox_transformers.data.text.survey import Survey
from whitebox_transformers.errors import UserError

MIB = 2**20
# The keys that decide, with the documents themselves, which of them are in a split.
CARVING = (
    "separator",
    "carve",
    "split_seed",
    "validation_share",
    "test_share",
    "validation_path",
    "test_path",
    "limit",
    "limit_mib",
)

Blocks = CausalBlocks | MaskedBlocks


@dataclass
class BlockSplits:
    """How documents become tokens, and tokens a split."""

    data: TextDataConfig
    encoder: Encoder
    separator: int | None
    """Id of the token that ends a document; None: there is but one document."""
    samples: Samples
    seed: int
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
        common: dict[str, Any] = {"context": context, "cross_documents": data.cross_documents}
        if objective == "causal":
            samples: Samples = CausalSamples(**common)
            least, blocks = 2, CausalBlocks
        else:
            common["masker"] = Masker(tokenizer, data.mask_share, data.mask_whole_words)
            samples = MaskedSamples(**common)
            least, blocks = 1, MaskedBlocks
        if samples.size < least:
            raise UserError(
                f"a context of {context} tokens is too short: it holds {max(samples.size, 0)} "
                "tokens of text"
            )
        return cls(
            data=data,
            encoder=Encoder(tokenizer, words=objective == "masked" and data.mask_whole_words),
            separator=end_of_document(tokenizer, objective) if several else None,
            samples=samples,
            seed=seed,
            moving=partial(blocks, seed=seed, moving=True, **common),
            fixed=partial(blocks, seed=data.split_seed, moving=False, **common),
        )

    def stream(self, source: DocumentSource) -> TextStream:
        """A training split that is tokenised while it passes by."""
        assert self.separator is not None  # streams have many documents
        encoder, separator = self.encoder, self.separator
        return TextStream(source, encoder, self.samples, separator, self.data, self.seed)

    def corpus(self, source: DocumentSource, role: str, origin: Survey | None = None) -> Corpus:
        """The tokens of a split.

        Args:
            source: Its documents.
            role: Which split.
            origin: What it was carved from; None: its tokens are not to be kept on disk.

        Raises:
            UserError: They do not fill a block, or cannot be kept on disk.
        """
        place = None if origin is None else self._place(role, origin)
        corpus = None if place is None else find_corpus(place)
        if corpus is None:
            with Memory() if place is None else CorpusFolder(place) as store:
                corpus = build_corpus(
                    self.encoder.encode(texts(source)),
                    separator=self.separator,
                    vocabulary=len(self.encoder.tokenizer),
                    title=f"tokenising {role} text",
                    store=store,
                )
        if len(corpus) < self.samples.size:
            raise UserError(
                f"the {role} text of {self.data.place_of(role)} has {len(corpus)} tokens, fewer "
                f"than one block of {self.samples.size}; give more text, raise data.{role}_share "
                "or shorten the context"
            )
        return corpus

    def _place(self, role: str, origin: Survey) -> Path | None:
        """The folder that keeps the tokens, by everything that decides them."""
        least, recipe = self.data.cache_mib, self.encoder.recipe
        if least is None or recipe is None or origin.bytes < least * MIB:
            return None
        carving = {key: getattr(self.data, key) for key in CARVING}
        name = name_of(role, origin.digest, carving, recipe, self.separator)
        return cache_folder(self.data.cache_folder) / name
