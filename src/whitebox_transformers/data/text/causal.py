"""Text in which each token is predicted from those before it."""

from __future__ import annotations

import torch
from torch.utils.data import Dataset

from whitebox_transformers.data.protocol import Sample
from whitebox_transformers.data.text.blocks import FixedBlocks, MovingBlocks
from whitebox_transformers.data.text.corpus import Corpus
from whitebox_transformers.data.text.samples import Stretch

IGNORED = -100
"""The label that no loss counts."""


class CausalSamples:
    """Makes samples ``{"input_ids": (N,) int64, "labels": (N,) int64}`` for causal models.

    ``labels`` are the inputs themselves, which the model shifts (Hugging Face's convention), or
    -100 where a token is not to be predicted: the first, and what another sample counts.

    Unless documents may be crossed there are ``position_ids`` (N,) too, which begin anew with each
    document, and its first token is not predicted. From them transformers derives a mask that
    keeps attention within documents, if the model is called without ``attention_mask`` and with
    ``use_cache=False``.

    Args:
        context: N.
        cross_documents: Whether attention and loss go on across documents.
    """

    lead = 1

    def __init__(self, context: int, cross_documents: bool) -> None:
        self.size = context
        self.cross_documents = cross_documents

    def __call__(self, stretch: Stretch, seed: int) -> Sample:
        """A sample; nothing is random in it."""
        tokens, fresh, borders, _ = stretch
        labels = torch.where(fresh, tokens, IGNORED)
        if self.cross_documents:
            return {"input_ids": tokens, "labels": labels}
        labels[borders] = IGNORED
        return {"input_ids": tokens, "labels": labels, "position_ids": restarting(borders)}


class CausalBlocks(Dataset[Sample]):
    """The samples of :class:`CausalSamples` from tokens in memory.

    Blocks overlap by one token, so that in an epoch every token but the first of the corpus is
    predicted exactly once. In training, blocks are addressed by ``(epoch, index)`` and move from
    epoch to epoch; in evaluation they are fixed and addressed by ``index``.

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
        self.seed = seed
        self.samples = CausalSamples(context, cross_documents)
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
        stretch = self.corpus.stretch(start, self.samples.size, fresh)
        if start + self.samples.size > len(self.corpus):
            # The last token does not precede the first.
            stretch.fresh[len(self.corpus) - start] = False
        return self.samples(stretch, 0)

    @property
    def targets(self) -> int:
        """How many tokens of the split are predicted."""
        crossing = self.samples.cross_documents
        return len(self.corpus) - (1 if crossing else len(self.corpus.starts))

    @property
    def bytes(self) -> int:
        """UTF-8 bytes of the text that those tokens stand for, separators included."""
        left_out = self.corpus.first_bytes[: 1 if self.samples.cross_documents else None]
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
