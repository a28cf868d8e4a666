"""Texts, or pairs of texts, with a label each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset
from tqdm.auto import tqdm
from transformers import DataCollatorWithPadding, PreTrainedTokenizerBase

from whitebox_transformers.data.protocol import Sample

ROWS_AT_ONCE = 1024


class Example(NamedTuple):
    """A labelled row."""

    text: str
    pair: str | None
    label: float


class ClassifiedTexts(Dataset[Sample]):
    """Samples ``{"input_ids": (n,) int64, "attention_mask": (n,) int64, "labels": ()}``.

    With ``token_type_ids`` (n,) too if the tokenizer's models read them. ``labels`` is the number
    of a class, int64, or float32 in regression. Texts differ in length; ``collate`` pads a batch
    to its longest. Texts beyond ``context`` tokens are cut at their ends, of a pair the longer one
    first.

    Args:
        rows: What to hold.
        tokenizer: With padding.
        context: Most tokens in a sample, special ones included.
        seed: The run's seed.
        regression: Whether labels are numbers instead of classes.
        title: Label of the progress bar.
    """

    def __init__(
        self,
        rows: Sequence[Example],
        tokenizer: PreTrainedTokenizerBase,
        context: int,
        seed: int,
        regression: bool,
        title: str,
    ) -> None:
        self.seed = seed
        self.has_types = "token_type_ids" in tokenizer.model_input_names
        self._pad = DataCollatorWithPadding(tokenizer)
        ids, types, labels, self.cut = [], [], [], 0
        firsts = range(0, len(rows), ROWS_AT_ONCE)
        for first in tqdm(firsts, desc=title, unit_scale=ROWS_AT_ONCE, leave=False, delay=1.0):
            part = rows[first : first + ROWS_AT_ONCE]
            found = _encoded(part, tokenizer, context, self.has_types)
            ids += [np.asarray(row, dtype=np.int32) for row in found["input_ids"]]
            types += [np.asarray(row, dtype=np.uint8) for row in found.get("token_type_ids", ())]
            labels += [row.label for row in part]
            self.cut += sum(bool(one.overflowing) for one in found.encodings or ())
        # Each in one tensor, which worker processes share.
        self.ids = torch.from_numpy(np.concatenate(ids))
        self.types = torch.from_numpy(np.concatenate(types)) if types else None
        self.ends = torch.tensor([len(row) for row in ids]).cumsum(0)
        self.labels = torch.tensor(labels, dtype=torch.float32 if regression else torch.int64)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, key: int | tuple[int, int]) -> Sample:
        index = key[1] if isinstance(key, tuple) else key
        if not 0 <= index < len(self):
            raise IndexError(f"text {index} of {len(self)}")
        place = slice(int(self.ends[index - 1]) if index else 0, int(self.ends[index]))
        ids = self.ids[place].long()
        sample = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        if self.types is not None:
            sample["token_type_ids"] = self.types[place].long()
        return sample | {"labels": self.labels[index]}

    def collate(self, samples: list[Sample]) -> Sample:
        """A batch, padded to its longest text; (B, n) each, labels (B,)."""
        return dict(self._pad(samples))


def _encoded(
    rows: Sequence[Example], tokenizer: PreTrainedTokenizerBase, context: int, types: bool
) -> Any:
    pairs = [row.pair for row in rows if row.pair is not None] or None
    return tokenizer(
        [row.text for row in rows],
        pairs,
        truncation="longest_first",
        max_length=context,
        return_token_type_ids=types,
        return_attention_mask=False,
        split_special_tokens=True,  # what looks like a special token in a text is text
        verbose=False,
    )
