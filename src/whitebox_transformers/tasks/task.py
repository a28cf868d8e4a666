"""What a run must know of what is learned."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import torch
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel, TrainerCallback

from whitebox_transformers.data.protocol import Sample, Split, Splits
from whitebox_transformers.errors import UserError
from whitebox_transformers.tasks.recipe import Recipe
from whitebox_transformers.training.families import (
    Family,
    ModelConfig,
    build_config,
    build_model,
    check_model,
)
from whitebox_transformers.training.schedule import Schedule

R = TypeVar("R", bound=Recipe)
D = TypeVar("D", bound=Splits)


@dataclass(frozen=True)
class Score:
    """One number by which a model is judged."""

    key: str
    """Its name in ``metrics.json``."""
    title: str
    unit: str
    """What the axis of a chart says."""
    style: str = "{:.4f}"
    higher_is_better: bool = False

    def show(self, value: float) -> str:
        """The value as people read it."""
        return self.style.format(value)

    def rank(self, value: float) -> float:
        """The value, or its negative: larger is better."""
        return value if self.higher_is_better else -value


@dataclass(frozen=True)
class CardWords:
    """What a model card says that depends on the task."""

    pipeline: str
    """The hub's name of the pipeline."""
    data: str
    """What the model was trained on."""
    use: str
    """Lines of Python that follow the import of the library."""
    protocol: str
    """How the scores were taken."""
    limits: str
    """What the model does not do."""


class Preprocessor(Protocol):
    """An image processor or a tokenizer: saved with the run, so that its folder can be used."""

    def save_pretrained(self, save_directory: Any, /) -> Any: ...


class Objective(Protocol):
    """A loss that is a sum over items (images, tokens) divided by the items of the whole step."""

    def count(self, labels: torch.Tensor) -> int:
        """How many items these labels hold."""
        ...

    def __call__(
        self, outputs: Any, labels: torch.Tensor, num_items_in_batch: torch.Tensor | int
    ) -> torch.Tensor: ...


class Task(ABC, Generic[R, D]):
    """What is learned: one object that a run asks for everything that depends on it.

    A learner that has more than a loss, such as a teacher or a centre, keeps what it learns in its
    model (parameters without gradient, persistent buffers), where checkpoints store it, and moves
    it in ``callbacks``.
    """

    name: ClassVar[str]
    """What a recipe says under ``task:``."""
    recipe: ClassVar[type[Recipe]]
    """The recipe's dataclass with the blocks of this task."""
    families: ClassVar[Mapping[str, Family]]
    """By the name a recipe uses; the white box first."""
    auto_model: ClassVar[Any]
    """The Auto class that loads a finished run."""
    unit: ClassVar[str]
    """What samples are called, in the plural; also their key in ``run.json``."""
    decided: ClassVar[Mapping[str, str]]
    """Configuration keys that are not the recipe's to set, and where they come from."""
    scores: tuple[Score, ...]
    """What is followed on the validation split."""
    selection: tuple[Score, ...]
    """Which of them choose the best weights: the first one, and the others in a tie. Without any
    the last weights are kept."""
    compared: tuple[tuple[str, Score], ...]
    """Split and score of each column in the table of a pair."""

    def of(self, recipe: R) -> Task[R, D]:
        """This task as a recipe wants it, where that decides more than the data."""
        return self

    def family(self, model: ModelConfig) -> Family:
        """The family of a recipe's model."""
        return self.families[model.family]

    @property
    def headline(self) -> Score:
        """The score that is named where there is room for one."""
        return (*self.selection, *self.scores)[0]

    @property
    def white_box(self) -> str:
        """Name of the white box."""
        return next(iter(self.families))

    def check(self, model: ModelConfig, where: str) -> None:
        """Refuse a block that no model could be built of; ``where`` names it in messages.

        Raises:
            UserError: The family is unknown, or as ``check_model``.
        """
        if model.family not in self.families:
            raise UserError(
                f"{where}.family={model.family!r} is not known to the task {self.name}; "
                f"choose one of: {', '.join(self.families)}"
            )
        check_model(model, self.family(model), self.decided, where)

    def config(self, model: ModelConfig) -> PreTrainedConfig:
        """Configuration of a model as far as the recipe decides it."""
        return build_config(model, self.family(model), {})

    def build_model(self, recipe: R, data: D) -> PreTrainedModel:
        """The recipe's model for these data; the same call gives the same weights.

        Raises:
            UserError: As ``training.families.build_model``.
        """
        fields = self.config_fields(recipe, data)
        return build_model(recipe.model, self.family(recipe.model), fields, recipe.seed)

    @abstractmethod
    def prepare(self, recipe: R) -> tuple[D, Preprocessor]:
        """Find and check the data.

        Raises:
            UserError: They cannot be found or used, or do not fit the model.
        """

    def data_of_run(self, recipe: R, folder: Path) -> D:
        """The data of a finished run, as the model in its folder reads them.

        Raises:
            UserError: As ``prepare``.
        """
        return self.prepare(recipe)[0]

    @abstractmethod
    def config_fields(self, recipe: R, data: D) -> dict[str, Any]:
        """Fields of the model's configuration that the data decide, those of ``decided``."""

    def facts(self, data: D) -> dict[str, Any]:
        """What ``run.json`` says of the data beside the sizes of the splits."""
        return {}

    def objective(self, recipe: R) -> Objective | None:
        """What training minimises; ``None``: the mean loss that the model returns by itself."""
        return None

    def callbacks(self, recipe: R, schedule: Schedule) -> list[TrainerCallback]:
        """What else happens in every step."""
        return []

    def seen_by_layers(self, model: PreTrainedModel, batch: Sample) -> Sample:
        """What a look into the layers of a model gives it of a batch."""
        return batch

    @abstractmethod
    def measure_batch(self, model: nn.Module, batch: Sample) -> torch.Tensor:
        """Numbers of each sample, (B, k) float32, of which ``summarise`` makes the scores.

        Args:
            model: In evaluation mode, without gradient; perhaps wrapped.
            batch: On the model's device.
        """

    @abstractmethod
    def summarise(
        self, rows: torch.Tensor, split: Split, config: PreTrainedConfig
    ) -> dict[str, Any]:
        """Scores of a split.

        Args:
            rows: From ``measure_batch``, of all its samples, (samples, k) float64.
            split: The split they belong to.
            config: The model's.

        Returns:
            At least the keys of ``scores``.
        """

    @abstractmethod
    def describe(self, scores: Mapping[str, Any]) -> list[tuple[str, str]]:
        """What ``summarise`` returned as rows of a table for people."""

    @abstractmethod
    def card(self, recipe: R, record: Mapping[str, Any], config: PreTrainedConfig) -> CardWords:
        """Words for the model card; ``record`` is the content of ``run.json``."""

    @abstractmethod
    def smoke(self, recipe: R, folder: Path) -> R:
        """The recipe with few data; what is not on this machine is replaced by something made up.

        Args:
            recipe: Cut down to a few steps already.
            folder: Receives what is made up, from the main process alone.
        """


def without_labels(batch: Sample) -> Sample:
    """What a model reads of a batch when its loss is computed elsewhere."""
    return {key: value for key, value in batch.items() if key != "labels"}
