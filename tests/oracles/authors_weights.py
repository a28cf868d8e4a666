"""State dicts in the authors' layouts: drawing one, and applying its norms and linear maps."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

State = dict[str, Tensor]


def norm(state: State, name: str, z: Tensor, eps: float = 1e-5) -> Tensor:
    centred = z - z.mean(-1, keepdim=True)
    scaled = centred / (centred.square().mean(-1, keepdim=True) + eps).sqrt()
    return scaled * state[f"{name}.weight"] + state[f"{name}.bias"]


def linear(state: State, name: str, z: Tensor) -> Tensor:
    return F.linear(z, state[f"{name}.weight"], state.get(f"{name}.bias"))


class Draw:
    """Random weights, large enough that every part of the network matters."""

    def __init__(self, seed: int):
        self.generator = torch.Generator().manual_seed(seed)

    def __call__(self, *shape: int) -> Tensor:
        fan_in = math.prod(shape[1:]) or 1
        return torch.randn(shape, generator=self.generator) * (2 / fan_in) ** 0.5

    def norm(self, name: str, width: int) -> State:
        noise = 0.3 * torch.randn(2, width, generator=self.generator)
        return {f"{name}.weight": 1 + noise[0], f"{name}.bias": noise[1]}

    def linear(self, name: str, rows: int, columns: int) -> State:
        return {f"{name}.weight": self(rows, columns), f"{name}.bias": 0.1 * self(rows, 1)[:, 0]}
