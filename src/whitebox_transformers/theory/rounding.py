"""How far two exact computations in float64 may differ."""

from __future__ import annotations

import torch
from torch import Tensor

UNIT = torch.finfo(torch.float64).eps
FLOOR = 1e-10


def rounding(condition: float, size: int) -> float:
    """Relative difference that rounding explains.

    Args:
        condition: Condition number of the matrix that is factored.
        size: Its number of rows.
    """
    return max(FLOOR, 8 * size * UNIT * condition)


def rate_condition(z: Tensor, scale: float) -> float:
    """Condition number, at most, of I + scale * Z Z^T for tokens z (..., N, D)."""
    return 1 + scale * torch.linalg.matrix_norm(z, 2).max().item() ** 2


def relative(found: Tensor, reference: Tensor) -> float:
    """Largest absolute difference over the largest absolute value of the reference."""
    largest = reference.abs().max().item()
    return ((found - reference).abs().max() / (largest or 1.0)).item()
