"""What every recipe says, whatever is learned."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from whitebox_transformers.errors import UserError
from whitebox_transformers.training.families import ModelConfig
from whitebox_transformers.training.settings import TrainConfig


@dataclass(kw_only=True)
class Recipe:
    """Everything that decides a run. Each task adds the blocks that say what it learns from."""

    name: str
    """Short name, used for the run folder and the model card."""

    task: str = "image-classification"
    """What is learned; decides which blocks of data the recipe has."""

    seed: int = 0
    """Seed of initial weights, order, augmentation and dropout."""

    out: str | None = None
    """Run folder. ``null``: ``runs/NAME/FAMILY-seedSEED``; `wbt compare` adds the family."""

    model: ModelConfig
    """The model that is trained; the task's white box if nothing is said."""

    against: ModelConfig | None = None
    """The black box of equal size that `wbt compare` trains beside it."""

    against_train: dict[str, Any] = field(default_factory=dict)
    """Keys of ``train`` that the black box's own tuning chose, e.g. ``{learning_rate: 0.001}``."""

    train: TrainConfig = field(default_factory=lambda: TrainConfig(epochs=1))
    """How the model is optimised."""

    def __post_init__(self) -> None:
        if not self.name or set(self.name) & set("/\\"):
            raise UserError(f"name={self.name!r} must be a plain word; it names the run folder")
        if not 0 <= self.seed < 2**32:
            raise UserError(f"seed={self.seed} is out of range; expected 0 to {2**32 - 1}")

    @property
    def folder(self) -> Path:
        """Where the run is written."""
        default = Path("runs") / self.name / f"{self.model.family}-seed{self.seed}"
        return Path(self.out).expanduser() if self.out else default
