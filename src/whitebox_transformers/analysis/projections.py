"""Tokens as a layer's subspaces see them.

Legend: B batch, N tokens, D width, K heads, P head width.
"""

from __future__ import annotations

import torch
from torch import Tensor

from whitebox_transformers.crate.block import CrateLayer
from whitebox_transformers.crate.mssa import Subspaces
from whitebox_transformers.crate.products import linear

from .layers import compress_of, subspaces_of


def project(layer: CrateLayer, z: Tensor) -> Tensor:
    """U_k^T z of the layer's subspaces, float32 or better: (..., N, D) to (..., K, N, P)."""
    z, subspaces = wide(z), subspaces_of(layer)
    return by_head(subspaces, linear(z, subspaces.effective_weight().to(z.dtype)))


def by_head(subspaces: Subspaces, u: Tensor) -> Tensor:
    """(..., N, K * P) to (..., K, N, P)."""
    return u.unflatten(-1, (subspaces.heads, subspaces.head_dim)).transpose(-3, -2)


def seen_by_mssa(layer: CrateLayer, z: Tensor, position_ids: Tensor | None) -> Tensor:
    """Tokens (B, N, D) as the layer's MSSA takes them: normalised, then through its window."""
    compress = compress_of(layer)
    normed = compress.norm(z)
    return normed if compress.window is None else compress.window(normed, position_ids)


def wide(z: Tensor) -> Tensor:
    """Float32 or better."""
    return z.to(torch.promote_types(z.dtype, torch.float32))
