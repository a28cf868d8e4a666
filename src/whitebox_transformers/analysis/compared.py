"""What attention compares, layer by layer, while the model runs as it always does.

A CRATE layer compares u = U^T z with itself. TSSA compares nothing; u is what is shown of it. The
attention implementation stays in use: nothing here makes a matrix of N x N weights, so grids of
thousands of patches and long texts are cheap.

Legend: B batch, N tokens, N' tokens that may be attended to, K heads, P head width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from whitebox_transformers.crate.ablations import QKVAttention
from whitebox_transformers.crate.mssa import SubspaceStep
from whitebox_transformers.crate.tssa import TSSA
from whitebox_transformers.errors import UserError

from .layers import compress_of, evaluating, white_box_layers

_WATCHED = "wbt_watched"
"""Name of the attention implementation that shows what it is given and then is ``sdpa``."""


class Compared(NamedTuple):
    """What one layer's attention is given."""

    query: Tensor
    """(B, K, N, P)."""
    key: Tensor
    """(B, K, N', P); in MSSA the query."""
    value: Tensor
    """(B, K, N', P); in MSSA the query, unless keys are rotated or lag."""
    mask: Tensor | None
    """Added to the scores, or boolean with True for allowed; broadcast to (B, K, N, N')."""
    scaling: float
    causal: bool
    """Where there is no mask: a query sees the keys up to its own."""


def compare(
    model: PreTrainedModel,
    inputs: Mapping[str, Any],
    layers: Sequence[int],
    see: Callable[[int, Compared], None],
) -> None:
    """Run the model once and show ``see`` what the chosen layers' attention is given.

    Args:
        model: Of the CRATE family, or one that attends through transformers' attention interface.
        inputs: The model's arguments; tensors are moved to its device.
        layers: Indices from 0.
        see: Called with a layer's index, in inference mode; what it does not keep is let go.

    Raises:
        UserError: Layers without attention, a folded model, or a black box whose attention cannot
            be watched.
    """
    arguments = {
        key: value.to(model.device) if isinstance(value, Tensor) else value
        for key, value in inputs.items()
    }
    watch = _white_box_watched if white_box_layers(model) else _black_box_watched
    with evaluating(model), torch.inference_mode(), watch(model, frozenset(layers), see):
        model(**arguments)


@contextmanager
def _white_box_watched(
    model: PreTrainedModel, wanted: frozenset[int], see: Callable[[int, Compared], None]
) -> Iterator[None]:
    layers = white_box_layers(model)
    with ExitStack() as hooks:
        for index in wanted:
            attention = compress_of(layers[index]).mssa
            for handle in _watch(attention, index, see):
                hooks.callback(handle.remove)
        yield


def _watch(
    attention: SubspaceStep | QKVAttention, index: int, see: Callable[[int, Compared], None]
) -> list[torch.utils.hooks.RemovableHandle]:
    """Hooks on one attention of the family."""
    values: list[Tensor] = []

    def keep_values(_: nn.Module, __: object, projected: Tensor) -> None:
        parts = 3 if isinstance(attention, QKVAttention) else 1
        heads = projected.unflatten(-1, (parts, attention.num_heads, attention.head_dim))
        values[:] = [heads[..., -1, :, :].transpose(1, 2)]

    def show(_: nn.Module, given: tuple) -> None:
        query, key, mask, scaling, causal = given[:5]
        see(index, Compared(query, key, values.pop(), mask, scaling, causal))

    def show_projections(_: nn.Module, __: object, projected: Tensor) -> None:
        u = projected.unflatten(-1, (attention.num_heads, attention.head_dim)).transpose(1, 2)
        see(index, Compared(u, u, u, None, attention.scaling, attention.is_causal))

    if isinstance(attention, TSSA):
        return [attention.subspaces.register_forward_hook(show_projections)]
    projection = attention.qkv if isinstance(attention, QKVAttention) else attention.subspaces
    return [
        projection.register_forward_hook(keep_values),
        attention.attention_map.register_forward_pre_hook(show),
    ]


@contextmanager
def _black_box_watched(
    model: PreTrainedModel, wanted: frozenset[int], see: Callable[[int, Compared], None]
) -> Iterator[None]:
    """Attention as ``sdpa`` that shows its arguments; the layers are counted as they run."""
    sdpa, met = ALL_ATTENTION_FUNCTIONS["sdpa"], 0

    def watched(module, query, key, value, attention_mask, *args, scaling=None, **kwargs):
        nonlocal met
        if met in wanted:
            scale = query.shape[-1] ** -0.5 if scaling is None else scaling
            causal = kwargs.get("is_causal")
            causal = getattr(module, "is_causal", False) if causal is None else causal
            see(met, Compared(query, key, value, attention_mask, scale, causal))
        met += 1
        return sdpa(module, query, key, value, attention_mask, *args, scaling=scaling, **kwargs)

    implementation = model.config._attn_implementation or "eager"
    ALL_ATTENTION_FUNCTIONS.register(_WATCHED, watched)
    # Without one of its own, an implementation is given no mask, and causality is lost.
    ALL_MASK_ATTENTION_FUNCTIONS.register(_WATCHED, ALL_MASK_ATTENTION_FUNCTIONS["sdpa"])
    try:
        model.set_attn_implementation(_WATCHED)
        yield
    finally:
        model.set_attn_implementation(implementation)
    if not met or max(wanted, default=0) >= met:
        raise UserError(
            f"{type(model).__name__} does not attend through transformers' attention interface, "
            "so what it compares cannot be seen; expected e.g. ViT, DeiT or DINOv2"
        )
