"""What the tasks on text share: recipe blocks, tokens and how many fit, words."""

from __future__ import annotations

import logging
import math
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from transformers import AutoConfig, PreTrainedConfig

from whitebox_transformers.data.text import (
    ClassifiedTextData,
    TextData,
    TextDataConfig,
    TokenizerConfig,
    build_text,
    check_vocabulary,
    load_tokenizer,
)
from whitebox_transformers.errors import UserError
from whitebox_transformers.tasks.recipe import Recipe
from whitebox_transformers.tasks.smoke_text import cut_down, is_here, made_up_documents
from whitebox_transformers.tasks.task import CardWords, Preprocessor, Task
from whitebox_transformers.training.families import build_config


@dataclass(kw_only=True)
class TextRecipe(Recipe):
    """What recipes of all tasks on text add."""

    context: int | None = None
    """Tokens in a sample, special ones included. ``null``: as many as the model has positions."""

    data: TextDataConfig = field(default_factory=TextDataConfig)
    """Where the text comes from."""

    tokenizer: TokenizerConfig = field(default_factory=TokenizerConfig)
    """How text becomes tokens. With ``model.from`` the tokenizer is that model's, and this block is
    not read."""


SMOKE_MIB = 0.01
logger = logging.getLogger(__name__)

T = TypeVar("T", bound=TextRecipe)
D = TypeVar("D", TextData, ClassifiedTextData)


class TextTask(Task[T, D], Generic[T, D]):
    """A task that learns from text."""

    decided: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("vocab_size", "pad_token_id", "bos_token_id", "eos_token_id"),
        "the vocabulary comes from the tokenizer",
    )
    learns: ClassVar[Any]
    """The ``objective`` of ``build_text``."""
    pipeline: ClassVar[str]
    """The hub's name of the pipeline."""
    use: ClassVar[str]
    """Python that uses a run; ``{folder}`` stands for it."""
    protocol: ClassVar[str]
    """How scores are taken."""

    def prepare(self, recipe: T) -> tuple[D, Preprocessor]:
        """Text as tokens, in samples that the recipe's model can read.

        Raises:
            UserError: The text cannot be found or used, the context is beyond the model's
                positions, or the tokenizer has tokens that ``model.from`` does not know.
        """
        source, tokenizer = recipe.model.from_, recipe.tokenizer
        if source is not None:
            if tokenizer != TokenizerConfig():
                logger.warning(
                    "the recipe's tokenizer: block is not read: model.from=%s brings the tokenizer "
                    "that its weights were trained with",
                    source,
                )
            tokenizer = _stored(source, self.config(recipe.model), f"model.from={source}")
        data = self._read(recipe, tokenizer)
        return data, data.tokenizer

    def data_of_run(self, recipe: T, folder: Path) -> D:
        """The data of a finished run in the tokens of its own tokenizer.

        One made anew would be another if the text has changed since, or, of the standard library,
        with another Python.

        Raises:
            UserError: As ``prepare``; the tokenizer is missing or is not the model's.
        """
        return self._read(
            recipe, _stored(str(folder), AutoConfig.from_pretrained(folder), str(folder))
        )

    def _read(self, recipe: T, tokenizer: TokenizerConfig) -> D:
        family = self.family(recipe.model)
        room = self.room(recipe)
        context = recipe.context or room
        if not 2 <= context <= room:
            raise UserError(
                f"context={context} is out of range: the model has positions for {room} tokens; "
                "expected 2 to that many"
            )
        data: Any = build_text(recipe.data, tokenizer, self.learns, context, recipe.seed)
        final = build_config(recipe.model, family, self.config_fields(recipe, data))
        # The row of the first token is known only now, with the padding token.
        first = family.first_position(final)
        if first + context > final.max_position_embeddings:
            raise UserError(
                f"context={context} does not fit: positions begin at {first}, after the padding "
                f"token, and model.config.max_position_embeddings={final.max_position_embeddings}; "
                f"raise it to {first + context}, or give a tokenizer whose padding token is an "
                "early one"
            )
        splits: list[Any] = [data.train, data.train_plain, data.validation, data.test]
        for split in splits:
            if hasattr(split, "first_position"):
                split.first_position = first
        return data

    def room(self, recipe: T) -> int:
        """The most tokens that the recipe's model reads at once."""
        config = self.config(recipe.model)
        return config.max_position_embeddings - self.family(recipe.model).first_position(config)

    def config_fields(self, recipe: T, data: D) -> dict[str, Any]:
        """The special tokens, and the size of the vocabulary unless a stored model has its own."""
        tokenizer = data.tokenizer
        fields = {
            f"{name}_token_id": getattr(tokenizer, f"{name}_token_id")
            for name in ("bos", "eos", "pad")
        }
        if recipe.model.from_ is None:
            multiple = recipe.tokenizer.pad_to_multiple_of
            fields["vocab_size"] = math.ceil(len(tokenizer) / multiple) * multiple
        return fields

    def card(self, recipe: T, record: Mapping[str, Any], config: PreTrainedConfig) -> CardWords:
        """Words for the model card."""
        return CardWords(
            pipeline=self.pipeline,
            data=recipe.data.where if recipe.data.source == "stdlib" else f"`{recipe.data.where}`",
            use=self.use.format(folder=record["folder"]),
            protocol=self.protocol,
            limits=self.limits(record),
        )

    @abstractmethod
    def limits(self, record: Mapping[str, Any]) -> str:
        """What the model does not do."""

    def smoke(self, recipe: T, folder: Path) -> T:
        """Little text in short samples; text that is not on this machine is made up."""
        rows = self.config(recipe.model).vocab_size
        recipe = cut_down(recipe, self.room(recipe), rows)
        if is_here(recipe.data):
            return replace(recipe, data=replace(recipe.data, limit_mib=SMOKE_MIB))
        return replace(recipe, data=self.made_up(recipe, folder))

    def made_up(self, recipe: T, folder: Path) -> TextDataConfig:
        """Something of the same kind for text that is not on this machine."""
        return made_up_documents(recipe.data, folder)


def _stored(source: str, config: PreTrainedConfig, where: str) -> TokenizerConfig:
    """The tokenizer that lies beside a model, which knows all of its tokens."""
    tokenizer = TokenizerConfig(kind="pretrained", path=source)
    size = config.get_text_config().vocab_size
    check_vocabulary(load_tokenizer(tokenizer, where), size, where)
    return tokenizer
