"""Where one token looks: its attention row for every head; that of a class token as a map.

For a CRATE layer the weights are ``softmax(<U_k^T z_cls, U_k^T z_i> / sqrt(P))`` of the
normalised tokens; heads that follow object parts show it in the last layers but one (arXiv
2308.16271). Only the one token's row is computed, from u, so any attention implementation may be in
use and large grids and long texts are cheap.

Legend: B batch, N = 1 + patches, K heads, P head width, L layers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import PreTrainedModel

from whitebox_transformers.crate.attention import attention_weights

from .layers import checked_index, compress_of, evaluating, white_box_layers


def class_attention(
    model: PreTrainedModel, pixel_values: Tensor, layers: Sequence[int] | None = None
) -> dict[int, Tensor]:
    """Attention of the class token to every patch.

    Args:
        model: A CRATE model with attention, or a Hugging Face ViT.
        pixel_values: (B, channels, height, width), moved to the model's device.
        layers: Indices, from 0 or negative from the end; None for all. The paper shows the last
            layer but one, -2.

    Returns:
        By layer index from 0: (B, K, rows, columns), float32 on the CPU. The class token's
        attention to itself is dropped, so a head sums to less than one.

    Raises:
        UserError: No such layer, layers without attention, or a folded model.
    """
    rows = attention_rows(model, {"pixel_values": pixel_values}, 0, layers)
    patch = model.config.patch_size
    tall, wide = (patch, patch) if isinstance(patch, int) else patch
    grid = (pixel_values.shape[-2] // tall, pixel_values.shape[-1] // wide)
    # Patches come last, so that further special tokens of a black box are dropped as well.
    return {i: row[..., -grid[0] * grid[1] :].unflatten(-1, grid) for i, row in rows.items()}


def attention_rows(
    model: PreTrainedModel,
    inputs: Mapping[str, Tensor],
    query: int,
    layers: Sequence[int] | None = None,
) -> dict[int, Tensor]:
    """Attention of one token to every token.

    Args:
        model: A CRATE model with attention, or a model that returns ``attentions``.
        inputs: The model's arguments, moved to its device.
        query: Place of the token that attends, from 0, or negative from the end.
        layers: Indices, from 0 or negative from the end; None for all.

    Returns:
        By layer index from 0: (B, K, N), float32 on the CPU, heads summing to one. Zero where the
        token may not look.

    Raises:
        UserError: No such layer, layers without attention, or a folded model.
    """
    white_box = bool(white_box_layers(model))
    depth = model.config.num_hidden_layers
    asked = range(depth) if layers is None else layers
    wanted = [checked_index("layer", index, depth) for index in asked]
    inputs = {key: value.to(model.device) for key, value in inputs.items()}
    with evaluating(model), torch.inference_mode():
        rows = (_rows_from_u if white_box else _rows_from_eager)(model, inputs, query, wanted)
    return {index: row.float().cpu() for index, row in rows.items()}


def _rows_from_u(
    model: PreTrainedModel, inputs: Mapping[str, Tensor], query: int, wanted: Sequence[int]
) -> dict[int, Tensor]:
    """Rows (B, K, N) by layer, from the inputs of each layer's attention."""
    layers, rows = white_box_layers(model), {}

    def keep_row(index: int, given: tuple) -> None:
        queries, keys, mask, scaling, causal, *_ = given
        rows[index] = _row(queries, keys, mask, scaling, causal, query % queries.shape[2])

    with ExitStack() as hooks:
        for index in wanted:
            attention_map = compress_of(layers[index]).mssa.attention_map
            handle = attention_map.register_forward_pre_hook(
                lambda _, given, index=index: keep_row(index, given)
            )
            hooks.callback(handle.remove)
        model(**inputs)
    return rows


def _row(
    queries: Tensor, keys: Tensor, mask: Tensor | None, scaling: float, causal: bool, place: int
) -> Tensor:
    """Weights (B, K, N) of the query at ``place``, without the square matrix."""
    one, count = queries[:, :, place : place + 1], keys.shape[2]
    if mask is not None:
        row = mask if mask.shape[-2] == 1 else mask[:, :, place : place + 1]
        return attention_weights(one, keys, row, scaling)[:, :, 0]
    seen = place + 1 if causal else count
    weights = attention_weights(one, keys[:, :, :seen], None, scaling)[:, :, 0]
    return F.pad(weights, (0, count - seen))


def _rows_from_eager(
    model: PreTrainedModel, inputs: Mapping[str, Tensor], query: int, wanted: Sequence[int]
) -> dict[int, Tensor]:
    """Rows (B, K, N) by layer, of a model that returns its attentions."""
    with _eager(model):
        attentions = model(**inputs, output_attentions=True).attentions
    return {index: attentions[index][:, :, query] for index in wanted}


@contextmanager
def _eager(model: PreTrainedModel) -> Iterator[None]:
    """Attention that returns its weights, inside the block."""
    implementation = model.config._attn_implementation or "eager"
    model.set_attn_implementation("eager")
    try:
        yield
    finally:
        model.set_attn_implementation(implementation)
