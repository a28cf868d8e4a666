"""The library's own operators, set to the matrices of the derivation.

Nothing is computed here: these are :class:`~whitebox_transformers.crate.mssa.MSSA` and
:class:`~whitebox_transformers.crate.block.Compress` whose projection is given bases U_1..U_K and
whose output matrix is [U_1, ..., U_K].
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from whitebox_transformers.crate import block, mssa
from whitebox_transformers.crate.configuration_crate import CrateConfig

DERIVED_SCALE = 1.0


def operator_config(heads: int, width: int, head_dim: int, **fields: Any) -> CrateConfig:
    """A configuration for operators alone; fused attention, which never holds an N x N matrix."""
    config = CrateConfig(hidden_size=width, num_attention_heads=heads, head_dim=head_dim, **fields)
    config._attn_implementation = "sdpa"
    return config


def tied_mssa(bases: Tensor, scale: float | None = None) -> mssa.MSSA:
    """MSSA of bases (K, D, P) with the derivation's output matrix.

    Args:
        bases: U_1..U_K.
        scale: Factor on the scores of the softmax: 1 in the derivation, P^-1/2 in the published
            network and if None.
    """
    heads, width, head_dim = bases.shape
    operator = mssa.MSSA(operator_config(heads, width, head_dim, mssa_output="tied"))
    return _with_bases(operator, bases, scale)


def compress(
    bases: Tensor, sign: int = 1, scale: float | None = None, step: float | None = None
) -> block.Compress:
    """The layer's first half, ``Z + sign * MSSA(LN Z)``, of bases (K, D, P), LayerNorm untrained.

    Args:
        bases: U_1..U_K.
        sign: +1 in the encoder, -1 in the decoder.
        scale: As for `tied_mssa`.
        step: c for ``(1 - sign * c) Z + sign * c MSSA``, or None.
    """
    heads, width, head_dim = bases.shape
    config = operator_config(
        heads, width, head_dim, mssa_output="tied", mssa_sign=sign, mssa_step=step
    )
    half = block.Compress(config).to(bases.dtype)
    _with_bases(half.mssa, bases, scale)
    return half.eval()


def _with_bases(operator: mssa.MSSA, bases: Tensor, scale: float | None) -> mssa.MSSA:
    operator = operator.to(bases.dtype).eval().requires_grad_(False)
    operator.subspaces.weight.copy_(bases.mT.flatten(0, 1))
    if scale is not None:
        operator.scaling = scale
    return operator


def apply(operator: torch.nn.Module, z: Tensor) -> Tensor:
    """An operator on batches (B, N, D) applied to one set of tokens (N, D)."""
    with torch.no_grad():
        return operator(z[None])[0]
