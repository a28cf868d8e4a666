"""Where one token looks: its attention row for every head; that of a class token as a map.

For a CRATE layer the weights are ``softmax(<U_k^T z_cls, U_k^T z_i> / sqrt(P))`` of the
normalised tokens; heads that follow object parts show it in the last layers but one (arXiv
2308.16271). Only the one token's row is computed, from u, so any attention implementation may be in
use and large grids and long texts are cheap.

Legend: B batch, N = 1 + patches, K heads, P head width, L layers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor
from transformers import PreTrainedModel

from whitebox_transformers.crate.attention import attention_weights
from whitebox_transformers.errors import UserError

from .compared import Compared, compare
from .layers import checked_index
from .memberships import has_memberships, memberships
from .patches import grid_of, image_arguments, on_grid


def class_attention(
    model: PreTrainedModel, pixel_values: Tensor, layers: Sequence[int] | None = None
) -> dict[int, Tensor]:
    """Attention of the class token to every patch.

    Args:
        model: A CRATE model with attention, or a Hugging Face ViT, DeiT, DINOv2 or the like.
        pixel_values: (B, channels, height, width), moved to the model's device; any
            multiple of the patch, positions are interpolated.
        layers: Indices, from 0 or negative from the end; None for all. The paper shows the last
            layer but one, -2.

    Returns:
        By layer index from 0: (B, K, rows, columns), float32 on the CPU. The class token's
        attention to itself is dropped, so a head sums to less than one. Of layers without
        attention between tokens, as for :func:`attention_rows`.

    Raises:
        UserError: No such layer, layers without attention, no class token, or a folded model.
    """
    rows = attention_rows(model, image_arguments(model, pixel_values), 0, layers)
    grid = grid_of(model, pixel_values)
    if any(row.shape[-1] == grid[0] * grid[1] for row in rows.values()):
        raise UserError(f"{type(model).__name__} has patches only, no class token that attends")
    return {index: on_grid(row, grid) for index, row in rows.items()}


def attention_rows(
    model: PreTrainedModel,
    inputs: Mapping[str, Any],
    query: int,
    layers: Sequence[int] | None = None,
) -> dict[int, Tensor]:
    """Attention of one token to every token.

    Args:
        model: A CRATE model with attention, or one that attends through transformers' attention
            interface.
        inputs: The model's arguments, moved to its device.
        query: Place of the token that attends, from 0, or negative from the end.
        layers: Indices, from 0 or negative from the end; None for all.

    Returns:
        By layer index from 0: (B, K, N), float32 on the CPU, heads summing to one. Zero where the
        token may not look. Where layers compare no tokens (``compression='tssa'``), the
        memberships of all tokens, whatever the query; they sum to one over the heads.

    Raises:
        UserError: No such layer, layers without attention, or a folded model.
    """
    depth = model.config.num_hidden_layers
    asked = range(depth) if layers is None else layers
    wanted = [checked_index("layer", index, depth) for index in asked]
    if has_memberships(model):
        return memberships(model, inputs, wanted)
    rows: dict[int, Tensor] = {}

    def keep_row(index: int, given: Compared) -> None:
        rows[index] = _row(given, query % given.query.shape[2]).float().cpu()

    compare(model, inputs, wanted, keep_row)
    return {index: rows[index] for index in wanted}


def _row(given: Compared, place: int) -> Tensor:
    """Weights (B, K, N) of the query at ``place``, without the square matrix."""
    one, keys, mask = given.query[:, :, place : place + 1], given.key, given.mask
    count = keys.shape[2]
    if mask is not None:
        row = mask if mask.shape[-2] == 1 else mask[:, :, place : place + 1]
        return attention_weights(one, keys, row, given.scaling)[:, :, 0]
    seen = place + 1 if given.causal else count
    weights = attention_weights(one, keys[:, :, :seen], None, given.scaling)[:, :, 0]
    return F.pad(weights, (0, count - seen))
