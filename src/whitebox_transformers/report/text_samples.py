"""Samples of text to look at: some of a run's validation split, or of texts a person names."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from whitebox_transformers.data.loading import evaluation_batches
from whitebox_transformers.data.protocol import Split, length_of
from whitebox_transformers.data.seeding import permutation
from whitebox_transformers.errors import UserError
from whitebox_transformers.evaluation.language_model import LanguageModel
from whitebox_transformers.evaluation.texts import Texts
from whitebox_transformers.evaluation.tokens import encoding_of

IGNORED = -100
LONGEST = 512
"""Tokens of a sample cut from a text, unless the model reads fewer."""

Samples = dict[str, Tensor]


def samples_of_split(split: Split, count: int, seed: int) -> Samples:
    """Samples of a split as one batch, drawn with ``seed``; of a stream the first ones.

    Tokens that a masked language model's split hides are shown again, since what is looked at is
    what the model does with text; labels of whole samples stay.
    """
    length = length_of(split)
    chosen = None if length is None else permutation(length, seed, "samples")[:count].tolist()
    batch = next(iter(evaluation_batches(split, count, only=chosen)))
    labels = batch.get("labels")
    if labels is not None and labels.shape == batch["input_ids"].shape:
        batch["input_ids"] = torch.where(labels != IGNORED, labels, batch["input_ids"])
        del batch["labels"]
    return batch


def samples_of_texts(language: LanguageModel, texts: Texts, count: int, seed: int) -> Samples:
    """Pieces of texts, as long as the model reads, drawn with ``seed``; kept in their order.

    Raises:
        UserError: No text has two tokens.
    """
    before, after = language.opening, language.closing
    longest = min(language.context or LONGEST, LONGEST)
    rows = [
        torch.tensor([*before, *piece, *after])
        for text in texts.texts
        for piece in _pieces(language, text, longest - len(before) - len(after))
        if len(piece) > 1
    ]
    if not rows:
        raise UserError("the texts are too short: a single token leaves nothing to look at")
    chosen = permutation(len(rows), seed, "samples")[:count].sort().values.tolist()
    return _padded([rows[index] for index in chosen], language.tokenizer.pad_token_id)


def _pieces(language: LanguageModel, text: str, length: int) -> Iterator[list[int]]:
    tokens = encoding_of(language.tokenizer, text)["input_ids"]
    for start in range(0, len(tokens), length):
        yield tokens[start : start + length]


def _padded(rows: list[Tensor], padding: object) -> Samples:
    """Rows as one batch; with a mask if they are not of one length."""
    fill = padding if isinstance(padding, int) else 0
    tokens = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=fill)
    lengths = torch.tensor([len(row) for row in rows])
    if (lengths == tokens.shape[1]).all():
        return {"input_ids": tokens}
    mask = torch.arange(tokens.shape[1]) < lengths[:, None]
    return {"input_ids": tokens, "attention_mask": mask.long()}
