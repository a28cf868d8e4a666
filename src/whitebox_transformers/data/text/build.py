"""From a recipe's ``data:`` and ``tokenizer:`` blocks to training, validation and test sets."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from transformers import PreTrainedTokenizerBase

from whitebox_transformers.data.faults import judge
from whitebox_transformers.data.text.carve import carve
from whitebox_transformers.data.text.causal import CausalBlocks
from whitebox_transformers.data.text.config import TextDataConfig, TokenizerConfig
from whitebox_transformers.data.text.corpus import Corpus, build_corpus
from whitebox_transformers.data.text.documents import DocumentSource, texts
from whitebox_transformers.data.text.encode import Encoder
from whitebox_transformers.data.text.files import open_files, open_text_folder
from whitebox_transformers.data.text.stdlib import open_stdlib
from whitebox_transformers.data.text.survey import Survey, survey
from whitebox_transformers.data.text.tokenizer import (
    Objective,
    SpecialTokens,
    train_tokenizer,
)
from whitebox_transformers.errors import UserError

OPENERS: dict[str, Callable[[TextDataConfig], dict[str, DocumentSource]]] = {
    "stdlib": open_stdlib,
    "file": open_files,
    "folder": open_text_folder,
}


@dataclass
class TextData:
    """What a run sees."""

    train: CausalBlocks
    """Blocks whose borders move from epoch to epoch."""
    train_plain: CausalBlocks
    """The training text as evaluation sees it, for measurements."""
    validation: CausalBlocks
    test: CausalBlocks | None
    """None if there is no test file and ``data.test_share`` is 0."""
    tokenizer: PreTrainedTokenizerBase
    labels: list[str]
    """Class names in the order of their numbers; none unless texts are classified."""


def build_text(
    data: TextDataConfig,
    tokenizer: TokenizerConfig,
    objective: Objective,
    context: int,
    seed: int,
) -> TextData:
    """Find, check, split, tokenise and wrap the text of a recipe.

    Args:
        data: The recipe's ``data`` block.
        tokenizer: Its ``tokenizer`` block.
        objective: What is to be learned from the text.
        context: Tokens in a sample, at most as many as the model has positions.
        seed: The run's seed: order, borders of blocks, masks.

    Raises:
        UserError: No such file, an empty one, one that is not UTF-8, a split without documents or
            shorter than one block ...: each named, before anything is trained.
    """
    if context < 2:
        raise UserError(f"context={context} is too short; a prediction needs two tokens")
    sources = OPENERS[data.source](data)
    found = _look(sources, data)
    splits = carve(sources, data, found["train"])
    _require_documents(splits, data)
    alphabet = set().union(*(one.alphabet for one in found.values()))
    several = any(one.documents > 1 for one in found.values())
    special = SpecialTokens.of(objective, several)
    training = (text.text for text in texts(splits["train"]))
    made = train_tokenizer(tokenizer, special, training, alphabet, context)
    # The short splits first: what is wrong with them is soon found.
    corpora = {
        role: _tokenise(splits[role], made, role, context, data)
        for role in sorted(splits, key=["test", "validation", "train"].index)
    }
    # Worker processes that are forked from here must not use the tokenizer's threads.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    fixed = {
        role: CausalBlocks(corpus, context, seed, False, data.cross_documents)
        for role, corpus in corpora.items()
    }
    return TextData(
        train=CausalBlocks(corpora["train"], context, seed, True, data.cross_documents),
        train_plain=fixed["train"],
        validation=fixed["validation"],
        test=fixed.get("test"),
        tokenizer=made,
        labels=[],
    )


def _look(sources: dict[str, DocumentSource], data: TextDataConfig) -> dict[str, Survey]:
    """Read all sources once, and judge what is broken."""
    found = {role: survey(source, f"reading {role} text") for role, source in sources.items()}
    bad = [fault for one in found.values() for fault in one.bad]
    judge(bad, sum(one.documents for one in found.values()) + len(bad), data, "documents")
    for role, one in found.items():
        if not one.characters:
            raise UserError(f"{_where(role, data)} holds no text")
    return found


def _require_documents(splits: dict[str, DocumentSource], data: TextDataConfig) -> None:
    for role, source in splits.items():
        if next(texts(source), None) is None:
            raise UserError(
                f"no document of {data.where} falls into the {role} split; change data.{role}_share"
                f", give data.{role}_path, or cut by position with data.carve=position"
            )


def _tokenise(
    source: DocumentSource,
    tokenizer: PreTrainedTokenizerBase,
    role: str,
    context: int,
    data: TextDataConfig,
) -> Corpus:
    encoded = Encoder(tokenizer).encode(texts(source))
    title = f"tokenising {role} text"
    separator = cast(int | None, tokenizer.eos_token_id)
    corpus = build_corpus(encoded, separator, len(tokenizer), title)
    if len(corpus) < context:
        raise UserError(
            f"the {role} text of {_where(role, data)} has {len(corpus)} tokens, fewer than one "
            f"block of {context}; give more text, raise data.{role}_share or shorten the context"
        )
    return corpus


def _where(role: str, data: TextDataConfig) -> str:
    path = getattr(data, f"{role}_path", None) or data.where
    return ", ".join(path) if isinstance(path, list) else path
