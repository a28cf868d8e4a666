"""Rotary positions: tokens are compared after a rotation by their place (arXiv 2104.09864).

Legend: B batch, N tokens, N' tokens that may be attended to, K heads, P head width.

Coordinates j and j + P / 2 of a head form a plane, turned by ``position * theta^(-2j / P)``. The
inner product of two rotated tokens then depends on their distance alone. In MSSA only the two
copies of u that are compared are rotated: the values stay in the subspace they were projected to,
and a cache that holds u unrotated serves as keys and as values.
"""

from typing import NamedTuple

import torch
from transformers.utils.generic import maybe_autocast


class Rotation(NamedTuple):
    """Cosines and sines of the angles, each (B, 1, N, P / 2) or (1, 1, N, P / 2)."""

    cos: torch.Tensor
    sin: torch.Tensor


class Rotary(NamedTuple):
    """Rotations of the queries and of the keys; the same object where there is no past."""

    query: Rotation
    key: Rotation


def rotation(
    position_ids: torch.Tensor, head_dim: int, theta: float, dtype: torch.dtype
) -> Rotation:
    """Angles of these positions, computed in float32.

    Args:
        position_ids: (B, N) or (1, N).
        head_dim: P, even.
        theta: Base of the frequencies.
        dtype: Type of the result.
    """
    with maybe_autocast(position_ids.device.type, enabled=False):
        exponents = torch.arange(0, head_dim, 2, device=position_ids.device).float() / head_dim
        angles = position_ids[:, None, :, None].float() * theta**-exponents
        return Rotation(angles.cos().to(dtype), angles.sin().to(dtype))


def rotate(x: torch.Tensor, by: Rotation) -> torch.Tensor:
    """Turn (B, K, N, P) by the angles of its N positions."""
    first, second = x.chunk(2, dim=-1)
    turned = [
        torch.addcmul(first * by.cos, second, by.sin, value=-1),
        torch.addcmul(second * by.cos, first, by.sin),
    ]
    return torch.cat(turned, dim=-1)


def key_positions(
    position_ids: torch.Tensor, past_length: int | torch.Tensor, key_length: int
) -> torch.Tensor:
    """Positions of all slots of a cache when these N tokens enter it, (B, N').

    Tokens of the past are taken to stand one after another before the first of these; only
    differences of positions matter, so that padding on the left changes nothing.

    Args:
        position_ids: Positions of the entering tokens, (B, N) or (1, N).
        past_length: Tokens in the cache before.
        key_length: N', slots of the cache after.
    """
    device = position_ids.device
    slots = torch.arange(key_length, device=device) - past_length
    entering = torch.arange(position_ids.shape[1], device=device) + past_length
    return (position_ids[:, :1] + slots).index_copy(1, entering, position_ids)


__all__ = ["Rotary", "Rotation", "key_positions", "rotate", "rotation"]
