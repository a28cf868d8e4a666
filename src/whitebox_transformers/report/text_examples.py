"""The few texts that a report shows one by one: a person's, or pieces of the validation split.

Legend: N tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from whitebox_transformers.data.protocol import Split
from whitebox_transformers.data.seeding import permutation
from whitebox_transformers.errors import UserError
from whitebox_transformers.evaluation.tokens import encoding_of, tokens_around
from whitebox_transformers.report.text_samples import samples_of_split
from whitebox_transformers.report.token_text import TokenText

Asked = Literal["next", "hidden", "class"]
"""What a model is asked for: the token after a text, a hidden one of it, or the text's class."""
LONGEST = 48
"""Tokens of a piece of the validation split; a person's texts are shown whole."""


@dataclass(frozen=True)
class TextExample:
    """One text as the model reads it.

    Attributes:
        name: Where it is from.
        tokens: (1, N), one of them hidden if a hidden one is asked for.
        query: Place of the token whose attention is shown: the last one, the hidden one, or the
            one that is classified.
        truth: What the model should say, if known: a token's number or a class's.
    """

    name: str
    tokens: Tensor
    query: int
    truth: int | None = None


class TextReader:
    """Makes examples of rows of tokens.

    Args:
        tokenizer: The run's.
        asked: What the model is asked for.
        room: The most tokens it reads, if anything limits them.
        seed: Decides which token is hidden.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, asked: Asked, room: int | None, seed: int
    ) -> None:
        self.tokenizer, self.asked, self.room, self.seed = tokenizer, asked, room, seed
        self.before, self.after = tokens_around(tokenizer)
        self._text = TokenText(tokenizer)

    def of_texts(self, texts: Sequence[str]) -> list[TextExample]:
        """Texts of a person, whole.

        Raises:
            UserError: One is empty, longer than the model reads, or has characters without a token.
        """
        examples = []
        for text in texts:
            tokens = encoding_of(self.tokenizer, text)["input_ids"]
            count = len(self.before) + len(tokens) + len(self.after)
            if not tokens:
                raise UserError("a text is empty; give at least one token to look at")
            if self.room is not None and count > self.room:
                raise UserError(
                    f"the text {text[:20]!r}... has {count} tokens, special ones included; the "
                    f"model reads at most {self.room}: shorten it"
                )
            examples.append(self._example(f"text {len(examples) + 1}", tokens))
        return examples

    def of_split(self, split: Split, count: int) -> list[TextExample]:
        """Pieces of samples drawn with the seed; of a stream the first ones."""
        batch = samples_of_split(split, count, self.seed)
        labels = batch.get("labels")
        examples = []
        for index, row in enumerate(_documents(batch)):
            name = f"validation: text {index + 1}"
            if self.asked == "class":
                truth = None if labels is None else int(labels[index])
                examples.append(TextExample(name, row[None], self._classified(len(row)), truth))
                continue
            tokens = self._bare(row.tolist())
            if self.asked == "next" and len(tokens) > 1:
                tokens, truth = tokens[:LONGEST], (tokens[LONGEST:] or [None])[0]
                if truth is None:
                    tokens, truth = tokens[:-1], tokens[-1]
                examples.append(self._example(name, tokens, truth))
            elif self.asked == "hidden" and tokens:
                examples.append(self._example(name, tokens[:LONGEST]))
        if not examples:
            raise UserError("the validation samples are too short: there is nothing to look at")
        return examples

    def _example(self, name: str, bare: list[int], truth: int | None = None) -> TextExample:
        tokens = torch.tensor([[*self.before, *bare, *self.after]])
        last = tokens.shape[1] - 1
        if self.asked != "hidden":
            query = last if self.asked == "next" else self._classified(tokens.shape[1])
            return TextExample(name, tokens, query, truth)
        query = len(self.before) + self._hidden_place(bare)
        mask = self.tokenizer.mask_token_id
        truth = None if tokens[0, query] == mask else int(tokens[0, query])
        tokens[0, query] = mask
        return TextExample(name, tokens, query, truth)

    def _hidden_place(self, bare: list[int]) -> int:
        """The token a person hid, or one drawn among those with letters or digits."""
        mask = self.tokenizer.mask_token_id
        if mask in bare:
            return bare.index(mask)
        order = permutation(len(bare), self.seed, "hidden", len(bare)).tolist()
        special = set(self.tokenizer.all_special_ids)
        ordinary = [place for place in order if bare[place] not in special] or order
        words = (i for i in ordinary if any(char.isalnum() for char in self._text(bare[i])))
        return next(words, ordinary[0])

    def _classified(self, length: int) -> int:
        """Place of the token that is classified: the first where one is put before a text."""
        return 0 if self.before else length - 1

    def _bare(self, row: list[int]) -> list[int]:
        """A row without what the tokenizer puts around a text."""
        if self.before and row[: len(self.before)] == self.before:
            row = row[len(self.before) :]
        if self.after and row[-len(self.after) :] == self.after:
            row = row[: -len(self.after)]
        return row


def _documents(batch: dict[str, Tensor]) -> list[Tensor]:
    """Rows without padding, each cut to its longest document if several are packed into it."""
    mask, positions = batch.get("attention_mask"), batch.get("position_ids")
    rows = []
    for index, row in enumerate(batch["input_ids"]):
        if mask is not None and mask.dim() == 2:
            row = row[mask[index].bool()]
        elif positions is not None:
            starts = (positions[index].diff() != 1).nonzero().flatten() + 1
            row = max(row.tensor_split(starts.tolist()), key=len)
        rows.append(row)
    return rows
