"""The two optimisers, and which parameters weight decay applies to."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import nn

from whitebox_transformers.errors import UserError
from whitebox_transformers.extras import require
from whitebox_transformers.training.settings import TrainConfig

# Class and mask token and positions, by their names here and in Hugging Face's models.
NOT_MATRICES = re.compile(r"(cls_token|mask_token|position_embeddings(\.weight)?|\.wpe\.weight)$")


def optimizer_class(train: TrainConfig) -> tuple[type[torch.optim.Optimizer], dict[str, Any]]:
    """Class and keyword arguments (weight decay apart) of a recipe's optimiser."""
    if train.optimizer == "lion":
        lion = require("lion_pytorch", extra="train").Lion
        betas = tuple(train.betas or (0.9, 0.99))
        return lion, {"lr": train.learning_rate, "betas": betas}
    betas = tuple(train.betas or (0.9, 0.999))
    options = {"lr": train.learning_rate, "betas": betas, "eps": train.eps or 1e-8}
    return torch.optim.AdamW, options | {"fused": True}


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
