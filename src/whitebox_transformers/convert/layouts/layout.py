"""What a layout must know to be converted: one file in this folder for each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Set
from typing import ClassVar

from whitebox_transformers.convert.geometry import Choices
from whitebox_transformers.convert.reading import Checkpoint
from whitebox_transformers.convert.report import Decision
from whitebox_transformers.crate import CrateConfig, CrateForImageClassification
from whitebox_transformers.errors import UserError


class Layout(ABC):
    """The names and conventions of one public code base.

    Attributes:
        name: How it is called in reports and errors.
        model_class: What it becomes.
        resize_over_crop: Shorter edge over crop in the authors' evaluation transform.
    """

    name: ClassVar[str]
    model_class: ClassVar[type[CrateForImageClassification]] = CrateForImageClassification
    resize_over_crop: ClassVar[float] = 1.0

    @abstractmethod
    def recognises(self, keys: Set[str]) -> bool:
        """Whether these bare weight names are of this layout, complete or not."""

    @abstractmethod
    def names(self, checkpoint: Checkpoint, choices: Choices) -> dict[str, str]:
        """Every weight that must be there -> its name in the converted model."""

    @abstractmethod
    def configure(
        self, checkpoint: Checkpoint, choices: Choices
    ) -> tuple[CrateConfig, list[Decision]]:
        """Settings from shapes, metadata and ``choices``; runs once all names are there.

        Raises:
            UserError: Something is not decided, or does not fit.
        """

    def unread(self, checkpoint: Checkpoint, choices: Choices) -> dict[str, str]:
        """Weights present that the authors' own forward pass never reads -> why."""
        return {}


def positions_of(checkpoint: Checkpoint, width: int) -> int:
    """Number of patches in the position table (1, 1 + patches, width).

    Raises:
        UserError: The table has another form.
    """
    leading, rows, columns = checkpoint.shape("pos_embedding", axes=3)
    if leading != 1 or rows < 2 or columns != width:
        raise UserError(
            f"{checkpoint.path}: 'pos_embedding' has shape {(leading, rows, columns)}; "
            f"expected (1, 1 + patches, {width})"
        )
    return rows - 1


def depth_of(keys: Set[str]) -> int:
    """Number of layers: one more than the highest index in ``transformer.layers.<i>.``."""
    prefix = "transformer.layers."
    indices = (key.removeprefix(prefix).split(".")[0] for key in keys if key.startswith(prefix))
    return max((int(index) + 1 for index in indices if index.isdecimal()), default=1)


def one_if_square(size: tuple[int, int]) -> int | list[int]:
    """A size as configurations spell it: one number where both sides agree."""
    height, width = size
    return height if height == width else [height, width]
