"""What recipes share that learn from images without their classes."""

from __future__ import annotations

from dataclasses import dataclass, field

from whitebox_transformers.data.config import DataConfig
from whitebox_transformers.errors import UserError
from whitebox_transformers.tasks.recipe import Recipe


@dataclass(kw_only=True)
class UnlabelledImageRecipe(Recipe):
    """A recipe whose classes, if there are any, are not learned.

    Raises:
        UserError: It smooths labels.
    """

    data: DataConfig = field(default_factory=DataConfig)
    """Where the images come from; classes, if there are any, serve scores alone."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.train.label_smoothing:
            raise UserError(
                f"train.label_smoothing={self.train.label_smoothing}: there are no labels to "
                "smooth; set it to 0"
            )
