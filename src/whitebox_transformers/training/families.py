"""White box and black box through one door: configuration and model of each family."""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from huggingface_hub.errors import StrictDataclassError
from transformers import PreTrainedConfig, PreTrainedModel, ViTConfig, ViTForImageClassification

from whitebox_transformers.crate.configuration_crate import PRESETS, CrateConfig
from whitebox_transformers.crate.modeling_crate import CrateForImageClassification
from whitebox_transformers.data.seeding import seeded
from whitebox_transformers.errors import UserError
from whitebox_transformers.training.strict import unknown_key


@dataclass
class ModelConfig:
    """Which model, and how large."""

    family: Literal["crate", "vit"] = "crate"
    """``crate``: the white box. ``vit``: Hugging Face's vision transformer."""

    preset: str | None = None
    """Named size, e.g. ``crate-base``; ``config`` changes single values of it."""

    pretrained: str | None = None
    """Folder or hub name of a model of this family to start from; its classifier is drawn anew
    unless the class names agree."""

    config: dict[str, Any] = field(default_factory=dict)
    """Fields of the family's configuration class. Classes come from the data."""

    def __post_init__(self) -> None:
        if self.preset and self.pretrained:
            raise UserError(
                f"model.preset={self.preset} and model.pretrained={self.pretrained}: "
                "a pretrained model brings its own size; remove model.preset"
            )


@dataclass(frozen=True)
class Family:
    """Configuration class, classifier and named sizes of a family."""

    config: type[PreTrainedConfig]
    classifier: type[PreTrainedModel]
    presets: dict[str, dict[str, Any]]


FAMILIES = {
    "crate": Family(CrateConfig, CrateForImageClassification, PRESETS),
    "vit": Family(ViTConfig, ViTForImageClassification, {}),
}


def check_model(model: ModelConfig, where: str) -> None:
    """Refuse unknown presets, unknown configuration keys and values the family does not take.

    Args:
        model: A recipe's block.
        where: Name of that block in messages.

    Raises:
        UserError: With the nearest known key or the configuration's own complaint.
    """
    family = FAMILIES[model.family]
    if model.preset is not None and model.preset not in family.presets:
        names = ", ".join(family.presets) or "none; write the sizes into config"
        raise UserError(
            f"{where}.preset={model.preset!r} is not known; {model.family} has: {names}"
        )
    inherited = {item.name for item in dataclasses.fields(PreTrainedConfig)}
    known = [item.name for item in dataclasses.fields(family.config)]
    known = [name for name in known if name not in inherited and not name.startswith("_")]
    for key in model.config:
        if key in ("num_labels", "id2label", "label2id"):
            raise UserError(f"{where}.config.{key}: classes come from the data; remove this key")
        if key not in known:
            raise UserError(unknown_key(f"{where}.config.{key}", key, known))
    if model.pretrained is None:
        build_config(model, ["0", "1"], where)


def build_config(model: ModelConfig, labels: list[str], where: str = "model") -> PreTrainedConfig:
    """Configuration of a recipe's model for these classes.

    Raises:
        UserError: The configuration class refuses a value, or ``pretrained`` is no such model.
    """
    family = FAMILIES[model.family]
    values: dict[str, Any] = {}
    if model.pretrained is not None:
        values = _pretrained_config(model, family, where).to_dict()
    elif model.preset is not None:
        values = dict(family.presets[model.preset])
    names = {
        "id2label": dict(enumerate(labels)),
        "label2id": {label: index for index, label in enumerate(labels)},
    }
    try:
        return family.config(**(values | model.config | names))
    except (ValueError, TypeError, StrictDataclassError) as error:
        raise UserError(f"{where}.config: {' '.join(str(error).split())}") from error


def build_model(model: ModelConfig, labels: list[str], seed: int) -> PreTrainedModel:
    """Draw a model's weights from the seed, then lay pretrained ones over them if asked for.

    The same recipe and seed give the same weights on every call, whatever was drawn before.

    Raises:
        UserError: As :func:`build_config`, or pretrained tensors of another shape.
    """
    config = build_config(model, labels)
    with seeded(seed):
        fresh = FAMILIES[model.family].classifier(config)
    if model.pretrained is not None:
        _load_pretrained(fresh, model.pretrained)
    return fresh


def trainable_parameters(model: torch.nn.Module) -> int:
    """Numbers that training changes, embeddings included."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def _pretrained_config(model: ModelConfig, family: Family, where: str) -> PreTrainedConfig:
    name = str(Path(model.pretrained or "").expanduser())
    try:
        found, _ = PreTrainedConfig.get_config_dict(name)
    except (OSError, ValueError) as error:
        raise UserError(
            f"{where}.pretrained={model.pretrained}: no model there; "
            "give a run folder, a converted folder or a hub name"
        ) from error
    if found.get("model_type") != family.config.model_type:
        raise UserError(
            f"{where}.pretrained={model.pretrained} holds a model of type "
            f"{found.get('model_type')!r}, not {model.family!r}; change {where}.family"
        )
    return family.config.from_pretrained(name)


def _load_pretrained(fresh: PreTrainedModel, name: str) -> None:
    source = type(fresh).from_pretrained(str(Path(name).expanduser()))
    keep_head = source.config.id2label == fresh.config.id2label
    weights = {
        key: value
        for key, value in source.state_dict().items()
        if keep_head or not key.startswith("classifier.")
    }
    own = fresh.state_dict()
    wrong = [
        key for key, value in weights.items() if key not in own or own[key].shape != value.shape
    ]
    if wrong:
        shape = tuple(weights[wrong[0]].shape)
        raise UserError(
            f"model.pretrained={name}: {len(wrong)} tensors do not fit model.config, the first is "
            f"{wrong[0]} of shape {shape}; remove the keys of model.config that change sizes"
        )
    fresh.load_state_dict(weights, strict=False)
