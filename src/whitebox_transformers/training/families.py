"""White box and black box through one door: configuration and model of each family."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from transformers import AutoConfig, PreTrainedConfig, PreTrainedModel

from whitebox_transformers.data.seeding import seeded
from whitebox_transformers.errors import UserError
from whitebox_transformers.training.load_report import without_load_report
from whitebox_transformers.training.strict import unknown_key


@dataclass(kw_only=True)
class ModelConfig:
    """Which model, and how large."""

    family: str
    """The white box of the task or one of its black boxes, e.g. ``crate`` or ``vit``; `wbt list`
    shows them all. In ``model`` the task's white box if left out."""

    preset: str | None = None
    """Named size, e.g. ``crate-base``; ``config`` changes single values of it."""

    from_: str | None = field(default=None, metadata={"formerly": "pretrained"})
    """Written ``from``: folder of a run or of a model, or hub name, to take the weights of. The
    body must fit; a head that does not fit, or whose class names differ, is drawn anew."""

    config: dict[str, Any] = field(default_factory=dict)
    """Fields of the family's configuration class. What the data decide, such as the classes, is
    not among them."""

    def __post_init__(self) -> None:
        if self.preset and self.from_:
            raise UserError(
                f"model.preset={self.preset} and model.from={self.from_}: "
                "a trained model brings its own size; remove model.preset"
            )


@dataclass(frozen=True)
class Family:
    """One kind of model that a task can train."""

    title: str
    """What people call it, e.g. ``ViT``."""
    config: type[PreTrainedConfig]
    model: type[PreTrainedModel]
    """With the head of the task."""
    presets: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    """Named sizes."""
    white_box: bool = False
    goes_on_from: tuple[type[PreTrainedConfig], ...] = ()
    """Other kinds of model that ``from`` may name: their bodies are this one's, tensor by tensor,
    and fields of the same names describe them."""
    first_position: Callable[[Any], int] = lambda config: 0
    """Text only: row of the position table that a sequence begins with."""


def check_model(model: ModelConfig, family: Family, decided: Mapping[str, str], where: str) -> None:
    """Refuse unknown presets, unknown configuration keys and values the family does not take.

    Args:
        model: A recipe's block.
        family: Its family.
        decided: Configuration keys that are not the recipe's to set, and where they come from.
        where: Name of that block in messages.

    Raises:
        UserError: With the nearest known key or the configuration's own complaint.
    """
    if model.preset is not None and model.preset not in family.presets:
        names = ", ".join(family.presets) or "none; write the sizes into config"
        raise UserError(
            f"{where}.preset={model.preset!r} is not known; {model.family} has: {names}"
        )
    known = _own_fields(family.config)
    for key in model.config:
        if key in decided:
            raise UserError(f"{where}.config.{key}: {decided[key]}; remove this key")
        if key not in known:
            raise UserError(unknown_key(f"{where}.config.{key}", key, known))
    if model.from_ is None:
        build_config(model, family, {}, where)


def _own_fields(config: type[PreTrainedConfig]) -> list[str]:
    """Fields that the class or a base below ``PreTrainedConfig`` declares."""
    own = config.__mro__[: config.__mro__.index(PreTrainedConfig)]
    declared = {name for kind in own for name in vars(kind).get("__annotations__", {})}
    names = [item.name for item in dataclasses.fields(config)]
    return [name for name in names if name in declared and not name.startswith("_")]


def build_config(
    model: ModelConfig, family: Family, decided: Mapping[str, Any], where: str = "model"
) -> PreTrainedConfig:
    """Configuration of a recipe's model.

    Args:
        model: A recipe's block.
        family: Its family.
        decided: Fields that the data decide; nothing while they are not known.
        where: Name of the block in messages.

    Raises:
        UserError: The configuration class refuses a value, or ``from`` is no such model or has
            another number of layers.
    """
    values: dict[str, Any] = {}
    if model.from_ is not None:
        values = _stored_fields(model, family, where)
        _check_depth(model, values, where)
    elif model.preset is not None:
        values = dict(family.presets[model.preset])
    try:
        return family.config(**(values | model.config | dict(decided)))
    except (ValueError, TypeError, StrictDataclassError) as error:
        raise UserError(f"{where}.config: {' '.join(str(error).split())}") from error


def build_model(
    model: ModelConfig, family: Family, decided: Mapping[str, Any], seed: int
) -> PreTrainedModel:
    """Draw a model's weights from the seed, then lay those of ``from`` over them if asked for.

    The same recipe and seed give the same weights on every call, whatever was drawn before.

    Raises:
        UserError: As :func:`build_config`, or stored tensors of another shape.
    """
    config = build_config(model, family, decided)
    with seeded(seed):
        fresh = family.model(config)
    if model.from_ is not None:
        _take_weights(fresh, model.from_)
    return fresh


def trainable_parameters(model: torch.nn.Module) -> int:
    """Numbers that training changes, embeddings included."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def _stored_fields(model: ModelConfig, family: Family, where: str) -> dict[str, Any]:
    """The configuration stored with a model; of another kind's, the fields that both have."""
    path = Path(model.from_ or "").expanduser()
    name = str(path)
    if (path / "recipe.yaml").is_file() and not (path / "config.json").is_file():
        raise UserError(
            f"{where}.from={model.from_} is not finished; `wbt train` with the same command "
            "resumes it"
        )
    try:
        found, _ = PreTrainedConfig.get_config_dict(name)
    except (OSError, ValueError):
        found = {}
    if not found:  # as of a folder without a configuration
        raise UserError(
            f"{where}.from={model.from_}: no model there; "
            "give a run folder, a converted folder or a hub name"
        )
    kind = found.get("model_type")
    if kind == family.config.model_type:
        return family.config.from_pretrained(name).to_dict()
    others = {other.model_type: other for other in family.goes_on_from}
    if kind not in others:
        raise UserError(
            f"{where}.from={model.from_} holds a model of type "
            f"{kind!r}, not {model.family!r}; change {where}.family"
        )
    stored = others[kind].from_pretrained(name)
    shared = {*_own_fields(family.config)} & {*_own_fields(others[kind])}
    return {field: getattr(stored, field) for field in shared}


def _check_depth(model: ModelConfig, stored: Mapping[str, Any], where: str) -> None:
    """Refuse another number of layers: some would stay fresh, or be left out, in silence."""
    asked = model.config.get("num_hidden_layers")
    depth = stored.get("num_hidden_layers")
    if None not in (asked, depth) and asked != depth:
        raise UserError(
            f"{where}.config.num_hidden_layers={asked}, but {where}.from={model.from_} has {depth} "
            "layers; remove the key"
        )


def _take_weights(fresh: PreTrainedModel, name: str) -> None:
    """Lay the stored weights over fresh ones; a head that does not fit stays fresh.

    The body is what bears ``base_model_prefix``, whichever head it was stored with.
    """
    path = str(Path(name).expanduser())
    with without_load_report():
        loaded: Any = type(fresh).from_pretrained(
            path, config=fresh.config, ignore_mismatched_sizes=True, output_loading_info=True
        )
    stored, loading = loaded
    body = f"{fresh.base_model_prefix}."
    mismatched = {key: tuple(shape) for key, shape, _ in loading["mismatched_keys"]}
    wrong = [key for key in mismatched if key.startswith(body)]
    if wrong:
        raise UserError(
            f"model.from={name}: {len(wrong)} tensors do not fit model.config, the first is "
            f"{wrong[0]} of shape {mismatched[wrong[0]]}; remove the keys of model.config that "
            "change sizes"
        )
    absent = {*mismatched, *loading["missing_keys"]}
    same_classes = AutoConfig.from_pretrained(path).id2label == fresh.config.id2label
    weights = {
        key: value
        for key, value in stored.state_dict().items()
        if key not in absent and (same_classes or key.startswith(body))
    }
    if not any(key.startswith(body) for key in weights):
        raise UserError(f"model.from={name} holds no weight of {type(fresh).__name__}'s body")
    fresh.load_state_dict(weights, strict=False)
