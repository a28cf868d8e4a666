"""Text in which hidden tokens are predicted from both sides."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch.utils.data import Dataset
from transformers import PreTrainedTokenizerBase

from whitebox_transformers.data.protocol import Sample
from whitebox_transformers.data.seeding import seed_of
from whitebox_transformers.data.text.blocks import FixedBlocks, MovingBlocks
from whitebox_transformers.data.text.causal import IGNORED, restarting
from whitebox_transformers.data.text.corpus import Corpus
from whitebox_transformers.data.text.encode import token_bytes
from whitebox_transformers.data.text.masking import choose_tokens, choose_words, hide
from whitebox_transformers.data.text.samples import Stretch


class Masker:
    """Frames some tokens, chooses among them and hides the chosen ones.

    Args:
        tokenizer: With a mask token; its begin and end tokens make the frame.
        share: Of the tokens to be predicted.
        whole_words: Whether words are chosen instead of tokens.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, share: float, whole_words: bool) -> None:
        ids: Any = tokenizer  # its ids are typed as if they might be lists
        self.before = _present(ids.cls_token_id)
        self.after = _present(ids.sep_token_id)
        self.mask: int = ids.mask_token_id
        self.special = torch.tensor(sorted(set(ids.all_special_ids)))
        every = torch.arange(len(ids))
        self.ordinary = every[~torch.isin(every, self.special)]
        self.share, self.whole_words = share, whole_words
        self.tokenizer = tokenizer

    @property
    def frame(self) -> int:
        """How many tokens are added to those of the text."""
        return len(self.before) + len(self.after)

    def __call__(
        self,
        tokens: torch.Tensor,
        fresh: torch.Tensor,
        word_starts: torch.Tensor | None,
        seed: int,
    ) -> Sample:
        """A framed and masked sample.

        Args:
            tokens: (n,) int64.
            fresh: (n,) bool: which tokens may be chosen; special ones never are.
            word_starts: (n,) bool: which begin a word; needed for whole words only.
            seed: Decides what is drawn.

        Returns:
            ``input_ids`` and ``labels``, both (N,) int64 with N = n + frame; labels are -100 where
            nothing was chosen.
        """
        draw = torch.Generator().manual_seed(seed)
        candidates = fresh & ~torch.isin(tokens, self.special)
        if self.whole_words and word_starts is not None:
            chosen = choose_words(candidates, word_starts, self.share, draw)
        else:
            chosen = choose_tokens(candidates, self.share, draw)
        hidden = hide(tokens, chosen, self.mask, self.ordinary, draw)
        labels = torch.where(chosen, tokens, IGNORED)
        return {
            "input_ids": torch.cat([self.before, hidden, self.after]),
            "labels": self.framed(labels, IGNORED),
        }

    def framed(self, values: torch.Tensor, edge: int) -> torch.Tensor:
        """Values of the tokens, and ``edge`` for those of the frame."""
        return torch.cat([
            values.new_full(self.before.shape, edge),
            values,
            values.new_full(self.after.shape, edge),
        ])  # fmt: skip


@dataclass
class _Counts:
    targets: int
    bytes: int


class MaskedSamples:
    """Makes samples ``{"input_ids": (N,) int64, "labels": (N,) int64}`` for masked models.

    The tokenizer's begin and end tokens frame each sample.

    Unless documents may be crossed there are two more: ``position_ids`` (N,), which begin anew at
    ``first_position`` with each document, and ``attention_mask`` (1, N, N) float32, which is added
    to the scores: 0 within a document, the lowest number across. Stacked to (B, 1, N, N) it is
    taken as it is by models of transformers.

    Args:
        context: N, frame included.
        masker: How tokens are hidden.
        cross_documents: Whether attention goes on across documents.
    """

    lead = 0

    def __init__(self, context: int, masker: Masker, cross_documents: bool) -> None:
        self.size = context - masker.frame
        self.masker = masker
        self.cross_documents = cross_documents
        self.first_position = 0

    def __call__(self, stretch: Stretch, seed: int) -> Sample:
        """A sample; ``seed`` decides what is hidden."""
        tokens, fresh, borders, words = stretch
        sample = self.masker(tokens, fresh, words, seed)
        if self.cross_documents:
            return sample
        inner = borders.clone()
        inner[0] = False  # what frames a sample belongs to its first and last document
        return sample | separated(self.masker.framed(inner, False), self.first_position)


class MaskedBlocks(Dataset[Sample]):
    """The samples of :class:`MaskedSamples` from tokens in memory.

    Blocks do not overlap: in an epoch every token lies in exactly one, where it may be hidden.
    Masks are a function of (seed, epoch, index) in training, and of (split seed, index) in
    evaluation.

    Args:
        corpus: The split, of at least ``context - masker.frame`` tokens.
        context: N, tokens in a block, frame included.
        masker: How tokens are hidden.
        seed: The run's seed, or the split's in evaluation.
        moving: Whether blocks and masks change from epoch to epoch.
        cross_documents: Whether attention goes on across documents.
    """

    def __init__(
        self,
        corpus: Corpus,
        context: int,
        masker: Masker,
        seed: int,
        moving: bool,
        cross_documents: bool,
    ) -> None:
        self.corpus = corpus
        self.seed = seed
        self.moving = moving
        self.samples = MaskedSamples(context, masker, cross_documents)
        size = self.samples.size
        self.blocks = (
            MovingBlocks(len(corpus), size, 0, seed)
            if moving
            else FixedBlocks(len(corpus), size, 0)
        )

    @property
    def first_position(self) -> int:
        """Position of a document's first token."""
        return self.samples.first_position

    @first_position.setter
    def first_position(self, position: int) -> None:
        self.samples.first_position = position

    def __len__(self) -> int:
        return len(self.blocks)

    def __getitem__(self, key: int | tuple[int, int]) -> Sample:
        epoch, index = key if isinstance(key, tuple) else (0, key)
        if not 0 <= index < len(self):
            raise IndexError(f"block {index} of {len(self)}")
        epoch = epoch if self.moving else 0
        start, fresh = self.blocks.at(epoch, index)
        stretch = self.corpus.stretch(start, self.samples.size, fresh)
        return self.samples(stretch, seed_of("mask", self.seed, epoch, index))

    @property
    def targets(self) -> int:
        """How many tokens of the split are predicted."""
        return self._counts.targets

    @property
    def bytes(self) -> int:
        """UTF-8 bytes of the text that those tokens stand for.

        Exact for tokenizers of bytes and characters. Of others it is the length of each token's
        own text, which leaves out white space that the tokenizer drops.
        """
        return self._counts.bytes

    @cached_property
    def _counts(self) -> _Counts:
        lengths = torch.from_numpy(token_bytes(self.samples.masker.tokenizer))
        found = _Counts(0, 0)
        for index in range(len(self)):
            labels = self[index]["labels"]
            labels = labels[labels != IGNORED]
            found.targets += len(labels)
            found.bytes += int(lengths[labels].sum())
        return found


def separated(borders: torch.Tensor, first_position: int = 0) -> Sample:
    """Positions and attention of a bidirectional model that stay within documents.

    Args:
        borders: (N,) bool: which tokens begin a document.
        first_position: Position of a document's first token.

    Returns:
        ``position_ids`` (N,) int64 and ``attention_mask`` (1, N, N) float32.
    """
    document = borders.cumsum(0)
    same = document[:, None] == document[None, :]
    across = torch.tensor(torch.finfo(torch.float32).min)
    return {
        "position_ids": restarting(borders) + first_position,
        "attention_mask": torch.where(same, torch.tensor(0.0), across)[None],
    }


def _present(index: int | None) -> torch.Tensor:
    return torch.tensor([] if index is None else [index], dtype=torch.int64)
