"""What training minimises, and the two optimisers that do it."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from whitebox_transformers.errors import UserError
from whitebox_transformers.extras import require
from whitebox_transformers.training.settings import TrainConfig

NOT_MATRICES = re.compile(r"(cls_token|position_embeddings)$")


class ClassificationLoss:
    """Cross-entropy with label smoothing, for class numbers and for mixed (soft) labels.

    With s the smoothing and q the label's distribution over C classes, the target is
    (1 - s) q + s / C. Nothing is smoothed where no gradient is taken, so validation reports the
    plain cross-entropy.

    Args:
        label_smoothing: s in [0, 1).
    """

    def __init__(self, label_smoothing: float) -> None:
        self.label_smoothing = label_smoothing

    def __call__(
        self,
        outputs: Any,
        labels: torch.Tensor,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> torch.Tensor:
        """Mean over the images of the whole optimiser step.

        Args:
            outputs: Model output with ``logits`` (B, C).
            labels: (B,) class numbers or (B, C) distributions.
            num_items_in_batch: Number of label entries in all accumulated pieces together, as
                Trainer counts them; ``None``: these images are the whole step.
        """
        smoothing = self.label_smoothing if torch.is_grad_enabled() else 0.0
        logits = outputs["logits"].float()
        total = functional.cross_entropy(logits, labels, label_smoothing=smoothing, reduction="sum")
        if num_items_in_batch is None:
            return total / len(labels)
        # Trainer counts entries, and a soft label has one for each class.
        return total / (num_items_in_batch / (labels.numel() / len(labels)))


def optimizer_class(train: TrainConfig) -> tuple[type[torch.optim.Optimizer], dict[str, Any]]:
    """Class and keyword arguments (weight decay apart) of a recipe's optimiser."""
    if train.optimizer == "lion":
        lion = require("lion_pytorch", extra="train").Lion
        betas = tuple(train.betas or (0.9, 0.99))
        return lion, {"lr": train.learning_rate, "betas": betas}
    betas = tuple(train.betas or (0.9, 0.999))
    return torch.optim.AdamW, {"lr": train.learning_rate, "betas": betas, "fused": True}


def check_optimizer(model: nn.Module, train: TrainConfig) -> None:
    """Find out whether the optimiser can be made, before anything is written.

    Raises:
        UserError: A regular expression of ``train.decay`` is found in no parameter's name.
        MissingExtra: The optimiser's or TensorBoard's package is not installed.
    """
    decaying_parameters(model, train.decay)
    optimizer_class(train)
    if train.tensorboard:
        require("tensorboard", extra="train")


def decaying_parameters(model: nn.Module, rule: str | list[str]) -> list[str]:
    """Names of the parameters that weight decay applies to, by the rule of ``train.decay``.

    Raises:
        UserError: A regular expression is found in no parameter's name.
    """
    parameters = dict(model.named_parameters())
    if rule == "all":
        return list(parameters)
    if rule == "matrices":
        return [
            name
            for name, value in parameters.items()
            if value.ndim >= 2 and not NOT_MATRICES.search(name)
        ]
    chosen: set[str] = set()
    for pattern in rule:
        matching = [name for name in parameters if re.search(pattern, name)]
        if not matching:
            raise UserError(
                f"train.decay: {pattern!r} is found in no parameter name; "
                f"names look like {next(iter(parameters))}"
            )
        chosen.update(matching)
    return [name for name in parameters if name in chosen]
