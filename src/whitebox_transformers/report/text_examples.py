"""The few texts that a report shows one by one: a person's, or pieces of the validation split.

Legend: N tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

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
        inputs: Model arguments (1, N), among them ``input_ids``, without padding; one token is
            hidden if a hidden one is asked for.
        query: Place of the token whose attention is shown: the last one, the hidden one, or the
            one that is classified.
        truth: What the model should say, if known: a token's number or a class's.
    """

    name: str
    inputs: dict[str, Tensor]
    query: int
    truth: int | None = None

    @property
    def tokens(self) -> Tensor:
        """(N,)."""
        return self.inputs["input_ids"][0]


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
            tokens = encoding_of(self.tokenizer, text, special=True)["input_ids"]
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
        """Pieces of samples drawn with the seed, of a stream the first; whole to be classified.

        Raises:
            UserError: The samples are too short.
        """
        batch = samples_of_split(split, count, self.seed)
        labels = batch.pop("labels", None)
        found = []
        for index in range(len(batch["input_ids"])):
            inputs = {key: values[index : index + 1] for key, values in batch.items()}
            name = f"validation: text {index + 1}"
            if self.asked == "class":
                inputs = _without_padding(inputs)
                query = self._classified(inputs["input_ids"].shape[1])
                found.append(TextExample(name, inputs, query, _class(labels, index)))
            else:
                found += self._piece(name, self._bare(_longest_document(inputs)))
        if not found:
            raise UserError("the validation samples are too short: there is nothing to look at")
        return found

    def _piece(self, name: str, bare: list[int]) -> list[TextExample]:
        """At most one example: the beginning of a sample."""
        if self.asked == "hidden":
            return [self._example(name, bare[:LONGEST])] if bare else []
        last = min(LONGEST, len(bare) - 1)
        return [self._example(name, bare[:last], bare[last])] if last > 0 else []

    def _example(self, name: str, bare: list[int], truth: int | None = None) -> TextExample:
        tokens = torch.tensor([[*self.before, *bare, *self.after]])
        last = tokens.shape[1] - 1
        if self.asked != "hidden":
            query = last if self.asked == "next" else self._classified(tokens.shape[1])
            return TextExample(name, {"input_ids": tokens}, query, truth)
        query = len(self.before) + self._hidden_place(bare)
        mask: Any = self.tokenizer.mask_token_id
        truth = None if tokens[0, query] == mask else int(tokens[0, query])
        tokens[0, query] = mask
        return TextExample(name, {"input_ids": tokens}, query, truth)

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


def _without_padding(inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """One sample's arguments (1, N) at its real tokens, without the mask."""
    mask = inputs["attention_mask"][0].bool()
    return {key: row[:, mask] for key, row in inputs.items() if key != "attention_mask"}


def _longest_document(inputs: dict[str, Tensor]) -> list[int]:
    """A sample's tokens; of several documents packed into it, the longest."""
    row, positions = inputs["input_ids"][0], inputs.get("position_ids")
    if positions is None:
        return row.tolist()
    starts = (positions[0].diff() != 1).nonzero().flatten() + 1
    return max(row.tensor_split(starts.tolist()), key=len).tolist()


def _class(labels: Tensor | None, index: int) -> int | None:
    """The class of a sample; a regression has none."""
    return None if labels is None or labels.is_floating_point() else int(labels[index])
