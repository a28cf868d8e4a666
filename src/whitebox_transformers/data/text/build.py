"""From a recipe's ``data:`` and ``tokenizer:`` blocks to training, validation and test sets."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, overload

from transformers import PreTrainedTokenizerBase

from whitebox_transformers.data.faults import judge
from whitebox_transformers.data.text.build_blocks import Blocks, BlockSplits
from whitebox_transformers.data.text.build_classified import classified_splits, names_of_classes
from whitebox_transformers.data.text.carve import carve, carve_passing, limited
from whitebox_transformers.data.text.classified import ClassifiedTexts
from whitebox_transformers.data.text.config import TextDataConfig
from whitebox_transformers.data.text.corpus import Corpus
from whitebox_transformers.data.text.documents import DocumentSource, texts
from whitebox_transformers.data.text.sieve import Sieve
from whitebox_transformers.data.text.sources import open_rows, open_sources
from whitebox_transformers.data.text.special_tokens import Objective, require_special_tokens
from whitebox_transformers.data.text.stream import TextStream
from whitebox_transformers.data.text.survey import Survey, survey
from whitebox_transformers.data.text.tokenizer import load_tokenizer, train_tokenizer
from whitebox_transformers.data.text.tokenizer_config import TokenizerConfig
from whitebox_transformers.errors import UserError


@dataclass
class TextData:
    """What a run of a language model sees."""

    train: Blocks | TextStream
    """Blocks whose borders move from epoch to epoch; a stream with ``data.streaming``."""
    train_plain: Blocks
    """The training text as evaluation sees it, for measurements."""
    validation: Blocks
    test: Blocks | None
    """None if there is no test file and ``data.test_share`` is 0."""
    tokenizer: PreTrainedTokenizerBase


@dataclass
class ClassifiedTextData:
    """What a run of a classifier sees."""

    train: ClassifiedTexts
    train_plain: ClassifiedTexts
    """The same, since nothing random is done to texts."""
    validation: ClassifiedTexts
    test: ClassifiedTexts | None
    """None if there is no test file and ``data.test_share`` is 0."""
    tokenizer: PreTrainedTokenizerBase
    labels: list[str]
    """Class names in the order of their numbers; none in regression."""


@overload
def build_text(
    data: TextDataConfig,
    tokenizer: TokenizerConfig,
    objective: Literal["causal", "masked"],
    context: int,
    seed: int,
) -> TextData: ...


@overload
def build_text(
    data: TextDataConfig,
    tokenizer: TokenizerConfig,
    objective: Literal["classification"],
    context: int,
    seed: int,
) -> ClassifiedTextData: ...


def build_text(
    data: TextDataConfig,
    tokenizer: TokenizerConfig,
    objective: Objective,
    context: int,
    seed: int,
) -> TextData | ClassifiedTextData:
    """Find, check, split, tokenise and wrap the text of a recipe.

    Args:
        data: The recipe's ``data`` block.
        tokenizer: Its ``tokenizer`` block.
        objective: What is to be learned from the text.
        context: Tokens in a sample, at most as many as the model has positions.
        seed: The run's seed: order, borders of blocks, masks.

    Raises:
        UserError: No such file, an empty one, one that is not UTF-8, a split without documents or
            shorter than one block, missing labels ...: each named, before anything is trained.
    """
    if objective == "classification":
        return _classified(data, tokenizer, context, seed)
    if data.streaming:
        return _streamed(data, tokenizer, objective, context, seed)
    sources = open_sources(data)
    found = _look(sources, data)
    splits = _split(sources, found, data)
    several = any(one.documents > 1 for one in found.values())
    alphabet = set().union(*(one.alphabet for one in found.values()))
    made = _tokenizer(tokenizer, objective, splits["train"], alphabet, several, context)
    cut = BlockSplits.of(data, made, objective, several, context, seed)
    corpora = _corpora(splits, cut, found)
    _spare_threads()
    fixed = {role: cut.fixed(corpus) for role, corpus in corpora.items()}
    return TextData(
        train=cut.moving(corpora["train"]),
        train_plain=fixed["train"],
        validation=fixed["validation"],
        test=fixed.get("test"),
        tokenizer=made,
    )


def _streamed(
    data: TextDataConfig,
    tokenizer: TokenizerConfig,
    objective: Literal["causal", "masked"],
    context: int,
    seed: int,
) -> TextData:
    """Nothing is read but what is held, and what the tokenizer is trained on."""
    if tokenizer.kind == "characters":
        raise UserError(
            "tokenizer.kind=characters needs the whole corpus, which a stream does not show; use "
            "bpe or bytes, or set data.streaming=false"
        )
    sieves = {
        role: Sieve(source, data)
        for role, source in carve_passing(dict(open_sources(data)), data).items()
    }
    mib = min(data.held_mib, data.limit_mib or data.held_mib)
    held = {role: limited(source, data.limit, mib) for role, source in sieves.items()}
    _require_documents(held, data)
    train = limited(sieves["train"], data.limit, data.limit_mib)
    made = _tokenizer(tokenizer, objective, train, set(), True, context)
    cut = BlockSplits.of(data, made, objective, True, context, seed)
    corpora = _corpora(held, cut, {})
    _spare_threads()
    fixed = {role: cut.fixed(corpus) for role, corpus in corpora.items()}
    return TextData(
        train=cut.stream(train),
        train_plain=fixed["train"],
        validation=fixed["validation"],
        test=fixed.get("test"),
        tokenizer=made,
    )


def _classified(
    data: TextDataConfig, tokenizer: TokenizerConfig, context: int, seed: int
) -> ClassifiedTextData:
    if data.streaming:
        raise UserError("data.streaming=true is for language models; a classifier reads all rows")
    rows = open_rows(data, labelled=True)
    found = _look(rows, data)
    names = names_of_classes(data, rows["train"])
    splits = _split(rows, found, data)
    alphabet = set().union(*(one.alphabet for one in found.values()))
    made = _tokenizer(tokenizer, "classification", splits["train"], alphabet, True, context)
    # Padding behind a text moves none of its tokens, whatever a model knows of padding.
    made.padding_side = "right"
    ready = classified_splits(splits, names, data, made, context, seed)
    _spare_threads()
    return ClassifiedTextData(
        train=ready["train"],
        train_plain=ready["train"],
        validation=ready["validation"],
        test=ready.get("test"),
        tokenizer=made,
        labels=names,
    )


def _look(sources: Mapping[str, DocumentSource], data: TextDataConfig) -> dict[str, Survey]:
    """Read all sources once, and judge what is broken."""
    found = {role: survey(source, f"reading {role} text") for role, source in sources.items()}
    bad = [fault for one in found.values() for fault in one.bad]
    judge(bad, sum(one.documents for one in found.values()) + len(bad), data, "documents")
    for role, one in found.items():
        if not one.characters:
            raise UserError(f"{data.place_of(role)} holds no text")
        if not "".join(one.alphabet).strip():
            raise UserError(f"{data.place_of(role)} holds no text, only white space")
    return found


def _split(
    sources: Mapping[str, DocumentSource], found: dict[str, Survey], data: TextDataConfig
) -> dict[str, DocumentSource]:
    splits = carve(dict(sources), data, found["train"])
    _require_documents(splits, data)
    return splits


def _require_documents(splits: Mapping[str, DocumentSource], data: TextDataConfig) -> None:
    for role, source in splits.items():
        if next(texts(source), None) is None:
            other = "name what ends a document with data.separator"
            if not data.streaming:
                other = "cut by position with data.carve=position"
            if data.carve == "position" or data.separator == "\n":
                other = "give more documents"
            raise UserError(
                f"no document of {data.where} falls into the {role} split; change data.{role}_share"
                f", give data.{role}_path, or {other}"
            )


def _corpora(
    splits: Mapping[str, DocumentSource], cut: BlockSplits, found: Mapping[str, Survey]
) -> dict[str, Corpus]:
    # The short splits first: what is wrong with them is soon found.
    order = sorted(splits, key=["test", "validation", "train"].index)
    return {role: cut.corpus(splits[role], role, found.get(role, found.get("train"))) for role in
            order}  # fmt: skip


def _tokenizer(
    config: TokenizerConfig,
    objective: Objective,
    source: DocumentSource,
    alphabet: set[str],
    several: bool,
    context: int,
) -> PreTrainedTokenizerBase:
    """Trained on the training split, or loaded."""
    if config.kind == "pretrained":
        tokenizer = load_tokenizer(config)
        where = f"tokenizer.path={config.path}: this tokenizer"
        require_special_tokens(tokenizer, objective, several, where)
        return tokenizer
    training = (part for text in texts(source) for part in (text.text, text.pair) if part)
    return train_tokenizer(config, objective, training, alphabet, several, context)


def _spare_threads() -> None:
    """Worker processes that are forked from here must not use the tokenizer's threads."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
