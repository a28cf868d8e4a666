"""The few samples that a report shows one by one: the same questions to images and to texts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Self

from torch import Tensor
from transformers import PreTrainedModel

from whitebox_transformers.analysis.layers import white_box_layers
from whitebox_transformers.report.content import Shown
from whitebox_transformers.report.specimen import Specimen

MOST_RANKED = 5
MEMBERSHIPS = (
    "The layers of this model compare no tokens (token statistics, TSSA): there is no attention of "
    "one token to others. In its place every head shows its membership $\\pi_{ki}$ of token $i$, "
    "which sums to one over the heads of a layer."
)


class Gallery(ABC):
    """Samples, and what a model makes of each.

    Attributes:
        left_out: Whatever a person named and could not be used, with the reason.
    """

    shown: ClassVar[Shown]
    sample: ClassVar[str]
    """What one of them is called."""

    def __init__(self, left_out: Sequence[str] = ()) -> None:
        self.left_out = list(left_out)

    @abstractmethod
    def beginning(self, count: int) -> Self:
        """A gallery of the first samples only."""

    @abstractmethod
    def first(self) -> tuple[str, dict[str, Tensor]]:
        """Name and model arguments of the first sample, as a batch of one."""

    @abstractmethod
    def specimens(self, model: PreTrainedModel) -> list[Specimen]:
        """Every sample as this model takes it apart."""

    @property
    @abstractmethod
    def query_name(self) -> str:
        """What that token is called."""

    @abstractmethod
    def attention(self, model: PreTrainedModel, control: PreTrainedModel) -> Sequence[Any]:
        """Attention in every layer and head; nothing if the layers have no attention."""

    @abstractmethod
    def attention_words(self, model: PreTrainedModel) -> str:
        """What the attention maps of this model show."""

    @abstractmethod
    def predictions(self, model: PreTrainedModel) -> Sequence[Any]:
        """What the model says of every sample."""


def has_attention(model: PreTrainedModel) -> bool:
    """Whether the layers have attention, which an ablation may lack."""
    layers = white_box_layers(model)
    return not layers or layers[0].compress is not None


def layer_shown_first(model: PreTrainedModel) -> int:
    """Index of the last but one layer of a white box, as in the paper; of the last otherwise."""
    depth = model.config.num_hidden_layers
    return max(depth - 2, 0) if white_box_layers(model) else depth - 1


def is_mssa(model: PreTrainedModel) -> bool:
    """Whether attention compares projections on subspaces."""
    return bool(white_box_layers(model)) and model.config.compression == "mssa"
