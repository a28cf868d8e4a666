"""A run is a file: the recipe, read strictly, flag over file over default."""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from whitebox_transformers.data.config import AugmentConfig, DataConfig
from whitebox_transformers.errors import UserError
from whitebox_transformers.training.families import ModelConfig, check_model
from whitebox_transformers.training.settings import TrainConfig
from whitebox_transformers.training.strict import apply_overrides, build


@dataclass
class Recipe:
    """Everything that decides a run."""

    name: str
    """Short name, used for the run folder and the model card."""

    task: Literal["image-classification"] = "image-classification"
    """What is learned."""

    seed: int = 0
    """Seed of initial weights, order, augmentation and dropout."""

    out: str | None = None
    """Run folder. ``null``: ``runs/NAME/FAMILY-seedSEED``; `wbt compare` adds the family."""

    model: ModelConfig = field(default_factory=ModelConfig)
    """The model that is trained."""

    against: ModelConfig | None = None
    """The black box of equal size that `wbt compare` trains beside it."""

    against_train: dict[str, Any] = field(default_factory=dict)
    """Keys of ``train`` that the black box's own tuning chose, e.g. ``{learning_rate: 0.001}``."""

    data: DataConfig = field(default_factory=DataConfig)
    """Where the images come from."""

    augment: AugmentConfig = field(default_factory=AugmentConfig)
    """How training images are changed."""

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


def load_recipe(path: str | Path, overrides: list[str] | None = None) -> Recipe:
    """Read and check a recipe.

    Args:
        path: YAML file.
        overrides: ``a.b=value`` items that win over the file; values are read as YAML.

    Raises:
        UserError: The file is missing or not YAML, a key is unknown (with the nearest suggestion),
            or a value has the wrong type or range, or is not accepted by the model's configuration.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"no recipe at {path}; `wbt list` shows the shipped ones")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise UserError(f"{path} holds no recipe; expected keys such as name, model, data, train")
    return recipe_from_dict(apply_overrides(values, overrides or []))


def recipe_from_dict(values: dict[str, Any]) -> Recipe:
    """Check plain values and make a recipe of them; raises as :func:`load_recipe`."""
    recipe = build(Recipe, values)
    check_model(recipe.model, "model")
    if recipe.against is not None:
        check_model(recipe.against, "against")
        black_box_training(recipe)
    return recipe


def black_box_training(recipe: Recipe) -> TrainConfig:
    """``train`` with the keys of ``against_train`` over it.

    Raises:
        UserError: A key is unknown or a value is wrong.
    """
    merged = dataclasses.asdict(recipe.train) | recipe.against_train
    return build(TrainConfig, merged, "against_train")


def recipe_to_dict(recipe: Recipe) -> dict[str, Any]:
    """Plain nested values, defaults included; :func:`recipe_from_dict` reads them back."""
    return dataclasses.asdict(recipe)


def differences(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> dict[str, tuple]:
    """Dotted keys whose values differ, with the old and the new value."""
    found: dict[str, tuple] = {}
    for key in old.keys() | new.keys():
        left, right, name = old.get(key), new.get(key), f"{prefix}{key}"
        if isinstance(left, dict) and isinstance(right, dict):
            found |= differences(left, right, f"{name}.")
        elif left != right:
            found[name] = (left, right)
    return dict(sorted(found.items()))
