"""Configuration of self-distillation (DINO, SimDINO), for CRATE and for ViT."""

import math
from typing import Literal

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig, ViTConfig

from .configuration_crate import CrateConfig

# Which objective reads a field; setting it under the other one would change nothing, in silence.
READ_BY_OBJECTIVE = {
    "num_prototypes": "dino",
    "student_temperature": "dino",
    "teacher_temperature": "dino",
    "centre_momentum": "dino",
    "rate_precision": "simdino",
    "rate_weight": "simdino",
}


@strict
class SelfDistillationConfig(PreTrainedConfig):
    """What a model that teaches itself has beside its backbone. Defaults are DINO's.

    Args:
        objective: ``dino``: distributions over prototypes agree; ``simdino``: features agree and
            their coding rate is large, without prototypes and centre.
        head_hidden_size: Width of the head's two hidden layers.
        head_bottleneck_size: Width P of the unit vectors behind them.
        num_prototypes: Prototypes K, at least 1024 for anything but trials.
        student_temperature: Divides the student's cosines before the softmax.
        teacher_temperature: Divides the teacher's; a schedule may begin lower.
        centre_momentum: Share of the old centre that every step keeps.
        rate_precision: eps of SimDINO's coding rate; squared inside.
        rate_weight: gamma, by which that rate (in nats) counts.

    Raises:
        ValueError: A number out of range, or a field that the objective does not read.
    """

    objective: Literal["dino", "simdino"] = "dino"
    head_hidden_size: int = 2048
    head_bottleneck_size: int = 256
    num_prototypes: int = 65536
    student_temperature: float | int = 0.1
    teacher_temperature: float | int = 0.07
    centre_momentum: float | int = 0.9
    rate_precision: float | int = 0.5
    rate_weight: float | int = 0.01

    def __post_init__(self, **kwargs):
        super().__post_init__(**kwargs)
        for name in ("head_hidden_size", "head_bottleneck_size", "num_prototypes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be at least 1.")
        for name in ("student_temperature", "teacher_temperature", "rate_precision", "rate_weight"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name}={getattr(self, name)} must be finite and positive.")
        if not 0 <= self.centre_momentum <= 1:
            raise ValueError(f"centre_momentum={self.centre_momentum} must be in [0, 1].")
        for name, objective in READ_BY_OBJECTIVE.items():
            default = getattr(SelfDistillationConfig, name)
            if getattr(self, name) != default and objective != self.objective:
                raise ValueError(
                    f"{name}={getattr(self, name)!r} changes nothing with objective="
                    f"{self.objective!r}: only {objective!r} reads it. Leave it out."
                )


@strict
class CrateDinoConfig(SelfDistillationConfig, CrateConfig):
    """The fields of both: CRATE that teaches itself.

    Raises:
        ValueError: As for either.
    """

    model_type = "crate_dino"


@strict
class ViTDinoConfig(SelfDistillationConfig, ViTConfig):
    """The same for Hugging Face's ViT, the black box beside it.

    Args:
        position_init_std: Standard deviation of fresh position embeddings and class token, as
            :class:`.CrateConfig` has one; ``None``: ``initializer_range``, as ViT draws them.

    Raises:
        ValueError: As for :class:`SelfDistillationConfig`, or a deviation below 0.
    """

    model_type = "vit_dino"

    position_init_std: float | int | None = None

    def __post_init__(self, **kwargs):
        super().__post_init__(**kwargs)
        for name in ("initializer_range", "position_init_std"):
            if not 0 <= (getattr(self, name) or 0) < math.inf:
                raise ValueError(f"{name}={getattr(self, name)} must be finite and not negative.")


__all__ = ["CrateDinoConfig", "SelfDistillationConfig", "ViTDinoConfig"]
