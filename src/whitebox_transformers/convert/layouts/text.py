"""What the authors' text models have in common."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, TypeVar

from huggingface_hub.errors import StrictDataclassError
from torch import Tensor, equal
from transformers import PreTrainedConfig, PreTrainedTokenizerBase

from whitebox_transformers.convert.beside import tokenizer_beside
from whitebox_transformers.convert.choices import whole_number
from whitebox_transformers.convert.heads import Shapes, divisors
from whitebox_transformers.convert.layouts.layout import Companion, Layout
from whitebox_transformers.convert.reading import Checkpoint
from whitebox_transformers.crate.configuration_text import TextConfig
from whitebox_transformers.errors import UserError

Config = TypeVar("Config", bound=TextConfig)


class TextLayout(Layout):
    """A layout of a text model.

    Attributes:
        published_tokenizer: What the authors trained with, for whoever must add it.
        tokenizer_class: The class that reads its ``vocab.json`` and ``merges.txt``.
    """

    reads: ClassVar[frozenset[str]] = frozenset({"heads", "step_size", "threshold"})
    published_tokenizer: ClassVar[str]
    tokenizer_class: ClassVar[type[PreTrainedTokenizerBase]]

    def companion(self, checkpoint: Checkpoint, config: PreTrainedConfig) -> Companion:
        """The tokenizer beside the file, in a folder of Hugging Face's form."""
        assert isinstance(config, TextConfig)
        tokenizer = tokenizer_beside(checkpoint.path, self.tokenizer_class)
        if tokenizer is None:
            note = (
                f"no tokenizer: the file holds none, so save the one it was trained with into the "
                f"folder (published: {self.published_tokenizer})"
            )
            return Companion(None, (note,))
        if len(tokenizer) > config.vocab_size:
            raise UserError(
                f"the tokenizer beside {checkpoint.path} has {len(tokenizer)} tokens, but the "
                f"model's vocabulary has {config.vocab_size}; they do not belong together"
            )
        return Companion(tokenizer)


def square_head_shapes(checkpoint: Checkpoint, key: str, width: int, depth: int) -> Shapes:
    """The numbers of heads that a projection (width, width) allows.

    Raises:
        UserError: The projection ``key`` has another shape.
    """
    found = checkpoint.shape(key, axes=2)
    if found != (width, width):
        raise UserError(f"{checkpoint.path}: {key!r} has shape {found}; expected {(width, width)}")
    return Shapes(width, depth, width, divisors(width))


def require_agreement(checkpoint: Checkpoint, of_shapes: Mapping[str, int]) -> None:
    """Raise `UserError` where the file's own settings say another size than its weights.

    A file that lost its last layers has nothing else that shows it.
    """
    for name, found in of_shapes.items():
        said = whole_number(checkpoint.metadata.get(name))
        if said is not None and said != found:
            raise UserError(
                f"{checkpoint.path} says {name} = {said}, but its weights make it {found}; is it "
                f"complete?"
            )


def require_same(checkpoint: Checkpoint, keys: Iterable[str]) -> None:
    """Raise `UserError` where weights differ that the authors' model holds once."""
    first, *others = (key for key in keys if key in checkpoint.tensors)
    for key in others:
        if not _same(checkpoint.tensors[first], checkpoint.tensors[key]):
            raise UserError(
                f"{checkpoint.path}: {key!r} and {first!r} differ; the authors' model holds one "
                f"weight under both names"
            )


def configured(checkpoint: Checkpoint, kind: type[Config], fields: dict[str, Any]) -> Config:
    """The configuration, its own refusal said of the file."""
    try:
        return kind(**fields)
    except (StrictDataclassError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{checkpoint.path} makes no {kind.__name__}: {reason}") from error


def _same(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and equal(one, other)
