"""From labelled rows to the splits of a classifier."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from transformers import PreTrainedTokenizerBase

from whitebox_transformers.data.faults import judge
from whitebox_transformers.data.text.class_labels import (
    NoLabel,
    class_names,
    class_number,
    target_number,
)
from whitebox_transformers.data.text.classified import ClassifiedTexts, Example
from whitebox_transformers.data.text.config import TextDataConfig
from whitebox_transformers.data.text.documents import BadDocument, DocumentSource, texts
from whitebox_transformers.data.text.tables import RowDocuments
from whitebox_transformers.errors import UserError

logger = logging.getLogger(__name__)


def names_of_classes(data: TextDataConfig, train: RowDocuments) -> list[str]:
    """Class names in the order of their numbers; none in regression.

    Raises:
        UserError: As :func:`.class_labels.class_names`.
    """
    if data.regression:
        return []
    labels = (text.label for text in texts(train))
    return class_names(data, train.tables[0], str(train.columns.label), labels)


def classified_splits(
    splits: Mapping[str, DocumentSource],
    names: list[str],
    data: TextDataConfig,
    tokenizer: PreTrainedTokenizerBase,
    context: int,
    seed: int,
) -> dict[str, ClassifiedTexts]:
    """Check the labels of all splits and encode their texts.

    Args:
        splits: Labelled documents by role.
        names: Of the classes; none in regression.
        data: The recipe's block.
        tokenizer: With padding.
        context: Most tokens in a sample.
        seed: The run's seed.

    Raises:
        UserError: Labels are missing or unknown, or the context holds no text.
    """
    least = tokenizer.num_special_tokens_to_add(pair=data.text_pair_column is not None) + 1
    if context < least:
        raise UserError(f"a context of {context} tokens is too short; at least {least} are needed")
    number: Callable[[Any, str], float] = target_number
    if not data.regression:
        number = partial(_number, names)
    rows = {role: _rows(source, number) for role, source in splits.items()}
    bad = [fault for _, faults in rows.values() for fault in faults]
    for role, (good, faults) in rows.items():
        if not good and faults and all(isinstance(fault, NoLabel) for fault in faults):
            raise UserError(
                f"labels are missing: none of the {len(faults)} {role} rows of {data.where} has "
                f"one ({faults[0]}); choose other rows with data.{role}_path or data.{role}_split"
            )
    judge(bad, sum(len(good) for good, _ in rows.values()) + len(bad), data, "rows")
    made = {}
    for role, (good, _) in rows.items():
        made[role] = ClassifiedTexts(
            good, tokenizer, context, seed, data.regression, f"tokenising {role} rows"
        )
        if made[role].cut:
            logger.warning(
                "%d of %d %s rows have more than %d tokens and are cut",
                made[role].cut, len(good), role, context,
            )  # fmt: skip
    return made


def _number(names: list[str], value: Any, row: str) -> float:
    return class_number(value, names, row)


def _rows(
    source: DocumentSource, number: Callable[[Any, str], float]
) -> tuple[list[Example], list[BadDocument]]:
    good, bad = [], []
    for text in texts(source):
        try:
            good.append(Example(text.text, text.pair, number(text.label, text.name)))
        except BadDocument as fault:
            bad.append(fault)
    return good, bad
