"""What a probe does: everything that decides its scores, stored beside them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from whitebox_transformers.errors import UserError

Pooling = Literal["cls", "patches", "mean", "cls+patches"]
POOLINGS: tuple[str, ...] = get_args(Pooling)
NEIGHBOURS = (10, 20, 100, 200)
Baseline = Literal["untrained", "pixels", "pca"]
BASELINES: tuple[Baseline, ...] = get_args(Baseline)


@dataclass(frozen=True)
class ProbeSettings:
    """How features are read and judged."""

    pooling: Pooling | None = None
    """``cls``: the class token; ``patches``: the mean over the patch tokens; ``mean``: the mean
    over all tokens; ``cls+patches``: the first two side by side. ``None``: what the model's own
    configuration pools by, the class token if it does not say."""

    layers: int = 1
    """How many of the last layers are put side by side."""

    neighbours: tuple[int, ...] | None = None
    """Every k of the k-NN. ``None``: those of 10, 20, 100 and 200 that there are images for."""

    temperature: float = 0.07
    """T of the k-NN, whose neighbours vote with exp(cosine / T)."""

    linear: bool = True
    """Whether a logistic regression is fitted to the features."""

    strengths: tuple[float, ...] = (0.001, 0.01, 0.1, 1.0, 10.0)
    """Every C of the logistic regression (its inverse L2 penalty); validation chooses."""

    iterations: int = 300
    """Steps of the solver at most, for each C."""

    sgd_epochs: int = 0
    """Passes of the linear probe by SGD over augmented training images; 0 leaves it out."""

    sgd_rates: tuple[float, ...] = (0.001, 0.01, 0.1)
    """Every learning rate of that probe for a batch of 256; validation chooses."""

    split: Literal["validation", "test"] = "test"
    """What the scores are taken on."""

    baselines: tuple[Baseline, ...] = BASELINES
    """What is probed beside the model: the same network untrained, raw pixels, as many of their
    principal components as the features have numbers."""

    seed: int = 0
    """Of the untrained network, and of SGD's order and augmentation."""

    batch_size: int = 256
    """Images at a time; also the batch of SGD."""

    def __post_init__(self) -> None:
        if self.pooling is not None and self.pooling not in POOLINGS:
            raise UserError(
                f"pooling={self.pooling!r} is not known; choose one of: {', '.join(POOLINGS)}"
            )
        if self.split not in ("validation", "test"):
            raise UserError(f"split={self.split!r} is not known; choose validation or test")
        for name in self.baselines:
            if name not in BASELINES:
                raise UserError(
                    f"baselines={list(self.baselines)}: {name!r} is not known; choose among: "
                    f"{', '.join(BASELINES)}"
                )
        counts = {"layers": self.layers, "iterations": self.iterations}
        counts |= {"batch_size": self.batch_size, "k": min(self.neighbours or (1,))}
        for name, value in counts.items():
            if value < 1:
                raise UserError(f"{name}={value} must be at least 1")
        positive = {"strengths": self.strengths, "sgd_rates": self.sgd_rates}
        for name, values in (positive | {"temperature": (self.temperature,)}).items():
            if min(values, default=0.0) <= 0:
                raise UserError(f"{name}={list(values)} must be above 0")
        if self.sgd_epochs < 0:
            raise UserError(f"sgd_epochs={self.sgd_epochs} must be 0 or more")
