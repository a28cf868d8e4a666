"""What rounding costs on real data: a trained run in float32, bfloat16 and int8, on its test split.

    wbt bench rounding runs=runs/digits/crate-seed0,runs/cifar10/crate-seed0

``diagonal rounded too`` is int8 without what :class:`.DiagonalApart` does. The score is the one
that a task names first: accuracy, or the loss of a language model or a masked autoencoder.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from benchmarks.machine import computes_in
from whitebox_transformers import fold, quantize
from whitebox_transformers.crate.quantizing import with_int8_products
from whitebox_transformers.errors import UserError
from whitebox_transformers.evaluation.finished_run import load_run
from whitebox_transformers.evaluation.measuring import measure as scores_of
from whitebox_transformers.tasks import task_of


@dataclass(frozen=True)
class Settings:
    """What is measured; every field is a key of the command line."""

    runs: tuple[str, ...] = ("runs/digits/crate-seed0",)
    device: str = "cpu"
    threads: int = 2

    choices = {}

    @property
    def record(self) -> str:
        """Name of the file in ``benchmarks/results``."""
        return f"rounding_{self.device}"


class InType(torch.nn.Module):
    """A model of another type, that is given what the original is given."""

    def __init__(self, model: PreTrainedModel, dtype: torch.dtype):
        super().__init__()
        self.model, self.dtype, self.config = model, dtype, model.config
        self.device = model.device

    def forward(self, **inputs: torch.Tensor) -> Any:
        return self.model(
            **{
                name: tensor.to(self.dtype) if tensor.is_floating_point() else tensor
                for name, tensor in inputs.items()
            }
        )


def contenders(model: PreTrainedModel) -> dict[str, Callable[[], Any]]:
    """How the model is rounded, by name; made one at a time."""
    made: dict[str, Callable[[], Any]] = {"float32": lambda: fold(model)}
    if computes_in("bfloat16", model.device):
        made["bfloat16"] = lambda: InType(fold(model, torch.bfloat16), torch.bfloat16)
    made["int8"] = lambda: quantize(model)
    # The identity of ISTA's step among the integers.
    made["int8, diagonal rounded too"] = lambda: with_int8_products(fold(model, torch.float32))
    return made


def measure(settings: Settings) -> list[dict]:
    """A row per run and type: the score on the test split, and what it is off float32's."""
    rows: list[dict] = []
    for place in settings.runs:
        model, recipe = load_run(place)
        task = task_of(recipe)
        test = task.data_of_run(recipe, Path(place)).test
        if test is None:
            raise UserError(f"{place} has no test split; its recipe set nothing apart for it")
        score, first = task.headline, None
        for name, make in contenders(model.cpu()).items():
            found = scores_of(task, make(), test, recipe.train.batch_size, 0, name)[score.key]
            first = found if first is None else first
            rows.append(
                {
                    "mode": recipe.name,
                    "what": f"{name}, test {score.title}",
                    "median": found,
                    "minus float32": round(found - first, 6),
                    "samples": len(test) if hasattr(test, "__len__") else None,
                }
            )
    return rows
