"""What a recipe says about optimisation: the ``train:`` block."""

import math
import re
from dataclasses import dataclass, field
from typing import Literal

from whitebox_transformers.errors import UserError


@dataclass
class RatePenaltyConfig:
    """The objective of a white box's layers as a part of the loss."""

    weight: float = 0.0
    """Factor on (R^c - R + sparsity ||Z||_1) / N in nats per token, of a layer's output Z, mean
    over samples; 0 leaves it out."""

    layers: list[int] | Literal["random", "all"] = "random"
    """Which layers: one drawn anew in every step, all of them, or a list of numbers from 1; of
    several the mean counts."""

    sparsity: float = 0.1
    """lambda, the price of an absolute value of 1."""

    def __post_init__(self) -> None:
        for key in ("weight", "sparsity"):
            value = getattr(self, key)
            _inside(f"rate_penalty.{key}", value, 0 <= value < math.inf, "[0, inf)")
        if isinstance(self.layers, list) and min(self.layers, default=0) < 1:
            raise UserError(
                f"train.rate_penalty.layers={self.layers}: layers are numbered from 1; "
                "give at least one, or random, or all"
            )


@dataclass
class TrainConfig:
    """How long, how fast, with which optimiser, and what is written down on the way."""

    epochs: float | None = None
    """Length in passes over the training split. Give either this or ``steps``."""

    steps: int | None = None
    """Length in optimiser steps. Streams need it, their length being unknown."""

    batch_size: int = 128
    """Samples per optimiser step, over all processes and accumulated pieces together."""

    accumulate: int = 1
    """Pieces that a batch is cut into when it does not fit; gradients are summed over them."""

    optimizer: Literal["adamw", "lion"] = "adamw"
    """``adamw``, or ``lion`` (sign of the momentum; the paper's ImageNet runs)."""

    learning_rate: float = 1e-3
    """Peak of the schedule, reached at the end of warm-up. Lion wants 3 to 10 times less."""

    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    """How the rate goes on after warm-up: down to ``min_learning_rate`` along half a cosine or a
    straight line, or not at all."""

    min_learning_rate: float = 0.0
    """Where the schedule ends."""

    warmup: float = 0.05
    """Steps of linear warm-up; below 1 a share of all steps."""

    betas: list[float] | None = None
    """Momentum factors. ``null``: 0.9, 0.999 for AdamW and 0.9, 0.99 for Lion."""

    eps: float | None = None
    """AdamW's term in the denominator. ``null``: 1e-8. Lion has none."""

    weight_decay: float = 0.05
    """Decoupled decay: each step subtracts ``learning rate * weight_decay * weight``."""

    decay: str | list[str] = "matrices"
    """Which parameters decay. ``matrices``: everything with two or more dimensions (subspaces,
    dictionaries, linear and convolution weights, embeddings of tokens) except class token and
    positions.
    ``all``: every parameter, as in the authors' code. A list: parameters whose full name any of
    these regular expressions is found in."""

    label_smoothing: float = 0.0
    """Share of the target spread evenly over the classes; also applies to mixed labels."""

    clip: float = 1.0
    """Largest norm of the whole gradient; 0 switches clipping off."""

    bf16: bool = False
    """Autocast to bfloat16; weights and optimiser stay in float32."""

    recompute: bool = False
    """Keep of each layer its input alone and compute the layer again in the backward pass: far less
    memory for the time of one more forward pass. Never changes a result."""

    shard: bool = False
    """Of several processes: cut parameters, gradients and the optimiser's state among them (FSDP2)
    instead of keeping all of them in each. Never changes a result beyond rounding."""

    device: Literal["auto", "cpu"] = "auto"
    """``auto``: a GPU if there is one."""

    evaluate_every: int | None = None
    """Steps between validations. ``null``: one epoch. The best one gives the run's weights."""

    checkpoint_every: int | None = None
    """Steps between checkpoints to resume from. ``null``: one epoch."""

    checkpoints: int = 2
    """How many of the latest complete checkpoints stay on disk."""

    rate_penalty: RatePenaltyConfig = field(default_factory=RatePenaltyConfig)
    """White box only: ask the layers for the sparse rate reduction they are derived from. On the
    command line ``train.rate_penalty.weight=0.001``."""

    monitor_rates: int | None = None
    """White box only: steps between measurements of rates, objective and sparsity in every layer,
    on the first 64 validation samples; ``null``: never."""

    keep: list[float] = field(default_factory=list)
    """When to keep a copy of the weights alone, in the unit of the length (epochs or steps), so
    that the inspection can draw curves over training; 0 is the untrained model."""

    log_every: int = 10
    """Steps between entries of the training curve."""

    tensorboard: bool = True
    """Write the curves for TensorBoard into the run folder."""

    workers: int = 0
    """Processes that make samples; 0 does it in the training process. Never changes a result."""

    def __post_init__(self) -> None:
        self._check_length()
        self._check_optimizer()
        if isinstance(self.decay, str) and self.decay not in ("matrices", "all"):
            raise UserError(
                f"train.decay={self.decay!r} is not known; "
                "choose matrices, all, or a list of regular expressions"
            )
        for pattern in self.decay if isinstance(self.decay, list) else []:
            try:
                re.compile(pattern)
            except re.error as error:
                raise UserError(
                    f"train.decay: {pattern!r} is not a regular expression: {error}"
                ) from error
        if min(self.keep, default=0.0) < 0:
            raise UserError(f"train.keep={self.keep} has a negative entry")

    def _check_length(self) -> None:
        if (self.epochs is None) == (self.steps is None):
            raise UserError(
                f"train.epochs={self.epochs} and train.steps={self.steps}: "
                "give exactly one of them and set the other to null"
            )
        length = "epochs" if self.steps is None else "steps"
        if not 0 < getattr(self, length) < math.inf:
            raise UserError(f"train.{length}={getattr(self, length)} must be above 0")
        counts = ("batch_size", "accumulate", "checkpoints", "log_every")
        for key in (*counts, "evaluate_every", "checkpoint_every", "monitor_rates"):
            value = getattr(self, key)
            if value is not None and value < 1:
                raise UserError(f"train.{key}={value} must be at least 1")
        if self.batch_size % self.accumulate:
            raise UserError(
                f"train.batch_size={self.batch_size} is not a multiple of "
                f"train.accumulate={self.accumulate}; change one of them"
            )
        if self.workers < 0:
            raise UserError(f"train.workers={self.workers} must be 0 or more")

    def _check_optimizer(self) -> None:
        _inside("learning_rate", self.learning_rate, 0 < self.learning_rate <= 1, "(0, 1]")
        _inside(
            "min_learning_rate",
            self.min_learning_rate,
            0 <= self.min_learning_rate <= self.learning_rate,
            f"[0, learning_rate = {self.learning_rate}]",
        )
        _inside("weight_decay", self.weight_decay, 0 <= self.weight_decay < math.inf, "[0, inf)")
        _inside("clip", self.clip, 0 <= self.clip < math.inf, "[0, inf)")
        _inside("label_smoothing", self.label_smoothing, 0 <= self.label_smoothing < 1, "[0, 1)")
        steps = self.warmup >= 1 and float(self.warmup).is_integer()
        _inside("warmup", self.warmup, 0 <= self.warmup < 1 or steps, "[0, 1) or whole steps")
        if self.betas is not None:
            valid = len(self.betas) == 2 and all(0 <= beta < 1 for beta in self.betas)
            _inside("betas", self.betas, valid, "two numbers in [0, 1)")
        if self.eps is not None:
            _inside("eps", self.eps, 0 < self.eps < 1, "(0, 1)")
            if self.optimizer == "lion":
                raise UserError(f"train.eps={self.eps}: Lion has no eps; set it to null")
        if self.schedule == "constant" and self.min_learning_rate:
            raise UserError(
                f"train.min_learning_rate={self.min_learning_rate} is never reached: "
                "train.schedule=constant; set it to 0 or choose cosine or linear"
            )

    def check_family(self, title: str, white_box: bool, where: str = "train") -> None:
        """Refuse what needs subspaces for a model that has none.

        Args:
            title: The model's name.
            white_box: Whether it has CRATE layers.
            where: The block whose keys are to be changed.

        Raises:
            UserError: A black box with a penalty or a monitor.
        """
        asked = {
            "rate_penalty.weight": self.rate_penalty.weight,
            "monitor_rates": self.monitor_rates,
        }
        mends = {
            "rate_penalty.weight": f"{where}.rate_penalty={{weight: 0}}",
            "monitor_rates": f"{where}.monitor_rates=null",
        }
        for key, value in asked.items():
            if value and not white_box:
                raise UserError(
                    f"train.{key}={value}: {title} is a black box, without subspaces to take R^c "
                    f"in; set {mends[key]}"
                )

    def warmup_steps(self, total: int) -> int:
        """Steps of warm-up in a run of ``total`` steps."""
        return int(self.warmup) if self.warmup >= 1 else round(self.warmup * total)


def _inside(key: str, value: object, valid: bool, expected: str) -> None:
    if not valid:
        raise UserError(f"train.{key}={value} is out of range; expected {expected}")
