"""Rotations are those of the formula and enter comparisons by distance alone."""

from __future__ import annotations

import cmath

import pytest
import torch

from whitebox_transformers.crate.rotary import key_positions, rotate, rotation

THETA = 100.0


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def turned(x: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """Planes (j, j + P / 2) as complex numbers, one at a time."""
    out, half = torch.empty_like(x), x.shape[-1] // 2
    for b, k, n, j in torch.cartesian_prod(*map(torch.arange, (*x.shape[:3], half))).tolist():
        position = int(positions[b if len(positions) > 1 else 0, n])
        angle = position * THETA ** (-2 * j / x.shape[-1])
        plane = complex(x[b, k, n, j], x[b, k, n, j + half]) * cmath.exp(1j * angle)
        out[b, k, n, j], out[b, k, n, j + half] = plane.real, plane.imag
    return out


@pytest.mark.parametrize("head_dim", [2, 6, 8])
@pytest.mark.parametrize("rows", [1, 2])
def test_a_plane_turns_by_its_position(head_dim: int, rows: int) -> None:
    x = draw(2, 3, 4, head_dim)
    positions = torch.tensor([[0, 1, 5, 40], [3, 0, 7, 2]])[:rows]
    found = rotate(x, rotation(positions, head_dim, THETA, torch.float64))
    torch.testing.assert_close(found, turned(x, positions), rtol=0, atol=1e-5)
    torch.testing.assert_close(found.norm(dim=-1), x.norm(dim=-1))


def test_inner_products_depend_on_the_distance_alone() -> None:
    query, key = draw(1, 2, 5, 8), draw(1, 2, 5, 8, seed=1)
    positions = torch.arange(5)[None]
    near, far = (rotation(positions + shift, 8, THETA, torch.float64) for shift in (0, 1000))
    scores = [rotate(query, by) @ rotate(key, by).mT for by in (near, far)]
    torch.testing.assert_close(*scores, rtol=0, atol=1e-3)


def test_angles_are_float32_whatever_the_tokens_are() -> None:
    positions = torch.tensor([[4001]])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = rotation(positions, 4, 10000.0, torch.bfloat16)
    exact = torch.tensor([4001.0, 4001.0 / 100]).double()
    torch.testing.assert_close(half.cos[0, 0, 0].double(), exact.cos(), rtol=0, atol=1e-2)
    assert half.sin.dtype == torch.bfloat16


@pytest.mark.parametrize("past", [3, torch.tensor(3)])
def test_cached_tokens_stand_before_the_entering_ones(past) -> None:
    entering = torch.tensor([[10, 11], [5, 9]])
    expected = [[7, 8, 9, 10, 11, 12], [2, 3, 4, 5, 9, 7]]
    assert key_positions(entering, past, 6).tolist() == expected
