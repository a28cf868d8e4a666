"""Products of tokens with matrices by PyTorch's own choice of library and by the library's.

    wbt bench products

Shapes are those of CRATE-Base: one token, a text of sixteen, one image, a batch of eight; and of a
small model. On a machine where both choices are the same the ratios are about one.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from benchmarks.timing import interleave, ratio_row, time_rows
from whitebox_transformers.crate.products import linear


@dataclass(frozen=True)
class Settings:
    """What is measured; every field is a key of the command line."""

    tokens: tuple[str, ...] = ("1", "16", "197", "1576")
    widths: tuple[str, ...] = ("192", "768")
    rounds: int = 15
    repeats: int = 10
    """Products in a call."""
    device: str = "cpu"
    threads: int = 2

    choices = {"tokens": ("1", "16", "197", "1576"), "widths": ("192", "384", "768", "1024")}

    @property
    def record(self) -> str:
        """Name of the file in ``benchmarks/results``."""
        return f"products_{self.device}"


def measure(settings: Settings) -> list[dict]:
    """Seconds of both, forward alone and with both gradients, and their ratio."""
    rows = []
    for width in map(int, settings.widths):
        for tokens in map(int, settings.tokens):
            rows += _one_shape(settings, tokens, width)
    return rows


def _one_shape(settings: Settings, tokens: int, width: int) -> list[dict]:
    device = torch.device(settings.device)
    x = torch.randn(tokens, width, device=device, requires_grad=True)
    weight = torch.randn(width, width, device=device, requires_grad=True)
    ones = torch.ones(tokens, width, device=device)

    def forward(product):
        with torch.no_grad():
            for _ in range(settings.repeats):
                product(x, weight)

    def training(product):
        for _ in range(settings.repeats):
            torch.autograd.grad(product(x, weight), (x, weight), ones)

    rows = []
    for name, run in (("forward", forward), ("with gradients", training)):
        mode = f"{tokens} x {width} x {width}, {name}"
        calls = {"PyTorch": lambda run=run: run(F.linear), "here": lambda run=run: run(linear)}
        times = {
            one: time * (1 / settings.repeats)
            for one, time in interleave(calls, settings.rounds, device, mode).items()
        }
        rows += time_rows(times, mode)
        rows.append(ratio_row(mode, "PyTorch / here", times["PyTorch"], times["here"]))
    return rows
