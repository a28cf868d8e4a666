"""Blocks of text in which each token is predicted from those before it."""

from __future__ import annotations

import torch
from torch.utils.data import Dataset

from whitebox_transformers.data.protocol import Sample
from whitebox_transformers.data.text.blocks import FixedBlocks, MovingBlocks
from whitebox_transformers.data.text.corpus import Corpus

IGNORED = -100
"""The label that no loss counts."""


class CausalBlocks(Dataset[Sample]):
    """Samples ``{"input_ids": (N,) int64, "labels": (N,) int64}`` for causal language models.

    ``labels`` are the inputs themselves, which the model shifts (Hugging Face's convention), or
    -100 where a token is not to be predicted: the first of a block, and what another block counts.
    Blocks overlap by one token, so that in an epoch every token but the first of the corpus is
    predicted exactly once.

    Unless documents may be crossed there are ``position_ids`` (N,) too, which begin anew with each
    document, and its first token is not predicted. From them transformers derives a mask that
    keeps attention within documents, if the model is called without ``attention_mask`` and with
    ``use_cache=False``.

    In training, blocks are addressed by ``(epoch, index)`` and move from epoch to epoch; in
    evaluation they are fixed and addressed by ``index``.

    Args:
        corpus: The split, of at least ``context`` tokens.
        context: N, tokens in a block.
        seed: The run's seed; decides how the blocks move.
        moving: Whether they do.
        cross_documents: Whether attention and loss go on across documents.
    """

    def __init__(
        self,
        corpus: Corpus,
        context: int,
        seed: int,
        moving: bool,
        cross_documents: bool,
    ) -> None:
        self.corpus = corpus
        self.context = context
        self.seed = seed
        self.cross_documents = cross_documents
        self.blocks = (
            MovingBlocks(len(corpus), context, 1, seed)
            if moving
            else FixedBlocks(len(corpus), context, 1)
        )

    def __len__(self) -> int:
        return len(self.blocks)

    def __getitem__(self, key: int | tuple[int, int]) -> Sample:
        epoch, index = key if isinstance(key, tuple) else (0, key)
        if not 0 <= index < len(self):
            raise IndexError(f"block {index} of {len(self)}")
        start, fresh = self.blocks.at(epoch, index)
        tokens = self.corpus.ring(start, self.context)
        labels = torch.full_like(tokens, IGNORED)
        labels[fresh] = tokens[fresh]
        if start + self.context > len(self.corpus):
            labels[len(self.corpus) - start] = IGNORED  # the last token does not precede the first
        if self.cross_documents:
            return {"input_ids": tokens, "labels": labels}
        borders = self.corpus.borders(start, self.context)
        labels[borders] = IGNORED
        return {"input_ids": tokens, "labels": labels, "position_ids": restarting(borders)}

    @property
    def targets(self) -> int:
        """How many tokens of the split are predicted."""
        return len(self.corpus) - (1 if self.cross_documents else len(self.corpus.starts))

    @property
    def bytes(self) -> int:
        """UTF-8 bytes of the text that those tokens stand for, separators included."""
        left_out = self.corpus.first_bytes[: 1 if self.cross_documents else None]
        return self.corpus.bytes - int(left_out.sum())


def restarting(borders: torch.Tensor) -> torch.Tensor:
    """Positions that begin anew at each border.

    Args:
        borders: (N,) bool.

    Returns:
        (N,) int64.
    """
    places = torch.arange(len(borders))
    return places - torch.where(borders, places, 0).cummax(0).values
