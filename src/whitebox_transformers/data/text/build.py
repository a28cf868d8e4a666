"""From a recipe's ``data:`` and ``tokenizer:`` blocks to training, validation and test sets."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from transformers import PreTrainedTokenizerBase

from whitebox_transformers.data.faults import judge
from whitebox_transformers.data.text.carve import carve
from whitebox_transformers.data.text.causal import CausalBlocks
from whitebox_transformers.data.text.config import TextDataConfig
from whitebox_transformers.data.text.corpus import Corpus, build_corpus
from whitebox_transformers.data.text.documents import DocumentSource, texts
from whitebox_transformers.data.text.encode import Encoder
from whitebox_transformers.data.text.files import open_files, open_text_folder
from whitebox_transformers.data.text.masked import MaskedBlocks, Masker
from whitebox_transformers.data.text.special_tokens import (
    Objective,
    end_of_document,
    require_special_tokens,
)
from whitebox_transformers.data.text.stdlib import open_stdlib
from whitebox_transformers.data.text.survey import Survey, survey
from whitebox_transformers.data.text.tables import open_hub_texts, open_tables
from whitebox_transformers.data.text.tokenizer import load_tokenizer, train_tokenizer
from whitebox_transformers.data.text.tokenizer_config import TokenizerConfig
from whitebox_transformers.errors import UserError

OPENERS: dict[str, Callable[[TextDataConfig], dict[str, DocumentSource]]] = {
    "stdlib": open_stdlib,
    "file": open_files,
    "folder": open_text_folder,
    "table": open_tables,
    "hub": open_hub_texts,
}


Blocks = CausalBlocks | MaskedBlocks


@dataclass
class TextData:
    """What a run sees."""

    train: Blocks
    """Blocks whose borders move from epoch to epoch."""
    train_plain: Blocks
    """The training text as evaluation sees it, for measurements."""
    validation: Blocks
    test: Blocks | None
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
    sources = OPENERS[data.source](data)
    found = _look(sources, data)
    splits = carve(sources, data, found["train"])
    _require_documents(splits, data)
    several = any(one.documents > 1 for one in found.values())
    made = _tokenizer(tokenizer, objective, splits["train"], found, several, context)
    cut = _cutter(data, made, objective, context, seed)
    encoder = Encoder(made, words=objective == "masked" and data.mask_whole_words)
    end = end_of_document(made, objective) if several else None
    # The short splits first: what is wrong with them is soon found.
    corpora = {
        role: _tokenise(splits[role], encoder, end, role, cut.size, data)
        for role in sorted(splits, key=["test", "validation", "train"].index)
    }
    # Worker processes that are forked from here must not use the tokenizer's threads.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    fixed = {role: cut.fixed(corpus) for role, corpus in corpora.items()}
    return TextData(
        train=cut.moving(corpora["train"]),
        train_plain=fixed["train"],
        validation=fixed["validation"],
        test=fixed.get("test"),
        tokenizer=made,
        labels=[],
    )


@dataclass
class _Cutter:
    """How a corpus becomes a split."""

    size: int
    """Tokens of the text in a block."""
    moving: Callable[[Corpus], Blocks]
    """For training."""
    fixed: Callable[[Corpus], Blocks]
    """For evaluation."""


def _cutter(
    data: TextDataConfig,
    tokenizer: PreTrainedTokenizerBase,
    objective: Objective,
    context: int,
    seed: int,
) -> _Cutter:
    common = {"context": context, "cross_documents": data.cross_documents}
    if objective == "causal":
        size, least = context, 2
        moving = partial(CausalBlocks, seed=seed, moving=True, **common)
        fixed = partial(CausalBlocks, seed=seed, moving=False, **common)
    else:
        masker = Masker(tokenizer, data.mask_share, data.mask_whole_words)
        size, least = context - masker.frame, 1
        moving = partial(MaskedBlocks, masker=masker, seed=seed, moving=True, **common)
        fixed = partial(MaskedBlocks, masker=masker, seed=data.split_seed, moving=False, **common)
    if size < least:
        raise UserError(
            f"a context of {context} tokens is too short: it holds {max(size, 0)} tokens of text"
        )
    return _Cutter(size, moving, fixed)


def _tokenizer(
    config: TokenizerConfig,
    objective: Objective,
    source: DocumentSource,
    found: dict[str, Survey],
    several: bool,
    context: int,
) -> PreTrainedTokenizerBase:
    """Trained on the training split, or loaded."""
    if config.kind == "pretrained":
        tokenizer = load_tokenizer(config)
        where = f"tokenizer.path={config.path}: this tokenizer"
        require_special_tokens(tokenizer, objective, several, where)
        return tokenizer
    alphabet = set().union(*(one.alphabet for one in found.values()))
    training = (text.text for text in texts(source))
    return train_tokenizer(config, objective, training, alphabet, several, context)


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
    encoder: Encoder,
    end: int | None,
    role: str,
    size: int,
    data: TextDataConfig,
) -> Corpus:
    corpus = build_corpus(
        encoder.encode(texts(source)),
        separator=end,
        vocabulary=len(encoder.tokenizer),
        title=f"tokenising {role} text",
    )
    if len(corpus) < size:
        raise UserError(
            f"the {role} text of {_where(role, data)} has {len(corpus)} tokens, fewer than one "
            f"block of {size}; give more text, raise data.{role}_share or shorten the context"
        )
    return corpus


def _where(role: str, data: TextDataConfig) -> str:
    path = getattr(data, f"{role}_path", None) or data.where
    return ", ".join(path) if isinstance(path, list) else path
