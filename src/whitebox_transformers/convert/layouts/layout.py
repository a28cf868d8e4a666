"""What a layout must know to be converted: one file in this folder for each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Set
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol

from torch import Tensor
from transformers import PreTrainedConfig, PreTrainedModel

from whitebox_transformers.convert.choices import Choices
from whitebox_transformers.convert.reading import Checkpoint
from whitebox_transformers.convert.report import Decision


class Processing(Protocol):
    """What prepares a model's inputs: an image processor or a tokenizer."""

    def save_pretrained(self, save_directory: str | Path, /) -> Any:
        """Write its files into a folder."""
        ...


class Companion(NamedTuple):
    """The processing to write beside the model, and what its user must know or add."""

    processing: Processing | None
    notes: tuple[str, ...] = ()


class Layout(ABC):
    """The names and conventions of one public code base.

    Attributes:
        name: How it is called in reports and errors.
        reads: The fields of `Choices` that it asks.
    """

    name: ClassVar[str]
    reads: ClassVar[frozenset[str]]

    @abstractmethod
    def recognises(self, keys: Set[str]) -> bool:
        """Whether these bare weight names are of this layout, complete or not."""

    @abstractmethod
    def names(self, checkpoint: Checkpoint, choices: Choices) -> dict[str, str]:
        """Every weight that must be there -> its name in the converted model."""

    @abstractmethod
    def configure(
        self, checkpoint: Checkpoint, choices: Choices
    ) -> tuple[PreTrainedConfig, list[Decision]]:
        """Settings from shapes, metadata and ``choices``; runs once all names are there.

        Raises:
            UserError: Something is not decided, or does not fit.
        """

    @abstractmethod
    def build(self, checkpoint: Checkpoint, config: PreTrainedConfig) -> PreTrainedModel:
        """The model that the file becomes, without weights."""

    def unread(self, checkpoint: Checkpoint, choices: Choices) -> dict[str, str]:
        """Weights present that the authors' own forward pass never reads -> why."""
        return {}

    def weight(self, checkpoint: Checkpoint, key: str) -> Tensor:
        """The weight ``key`` as the converted model stores it."""
        return checkpoint.tensors[key]

    @abstractmethod
    def companion(self, checkpoint: Checkpoint, config: PreTrainedConfig) -> Companion:
        """What prepares inputs for the converted model.

        Raises:
            UserError: It is there and does not fit.
        """


def layers_below(prefix: str, keys: Set[str]) -> int:
    """Number of layers: one more than the highest index in ``<prefix><i>.``, at least 1."""
    indices = (key.removeprefix(prefix).split(".")[0] for key in keys if key.startswith(prefix))
    return max((int(index) + 1 for index in indices if index.isdecimal()), default=1)


def both(old: str, new: str) -> dict[str, str]:
    """The names of a linear map or a norm: its weight and its bias."""
    return {f"{old}.{kind}": f"{new}.{kind}" for kind in ("weight", "bias")}


def renamed_layers(old: str, new: str, layer: dict[str, str], depth: int) -> dict[str, str]:
    """The names of one layer for all of them, ``<old><i>.<name>`` -> ``<new><i>.<name>``."""
    return {
        f"{old}{i}.{theirs}": f"{new}{i}.{ours}"
        for i in range(depth)
        for theirs, ours in layer.items()
    }
