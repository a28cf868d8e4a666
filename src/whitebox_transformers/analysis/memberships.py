"""How much each token belongs to each subspace, where layers take statistics of their tokens.

Legend: B batch, N tokens, K heads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from whitebox_transformers.crate.tssa import TSSA
from whitebox_transformers.errors import UserError

from .layers import compress_of, evaluating, white_box_layers


def has_memberships(model: PreTrainedModel) -> bool:
    """Whether the layers compress by TSSA, which has memberships in place of attention."""
    layers = white_box_layers(model)
    compress = layers[0].compress if layers else None
    return compress is not None and isinstance(compress.mssa, TSSA)


def memberships(
    model: PreTrainedModel, inputs: Mapping[str, Any], layers: Sequence[int]
) -> dict[int, Tensor]:
    """The memberships pi of one batch.

    Args:
        model: A CRATE model with ``compression='tssa'``.
        inputs: Its arguments, moved to its device.
        layers: Indices from 0.

    Returns:
        By layer index: (B, K, N), float32 on the CPU, summing to one over the heads.

    Raises:
        UserError: Layers that have none.
    """
    if not has_memberships(model):
        raise UserError("the model's layers have no memberships: compression is not 'tssa'")
    found: dict[int, Tensor] = {}
    arguments = {
        key: value.to(model.device) if isinstance(value, Tensor) else value
        for key, value in inputs.items()
    }
    every = white_box_layers(model)
    with evaluating(model), torch.inference_mode(), ExitStack() as hooks:
        for index in layers:

            def keep(_: object, given: tuple, index: int = index) -> None:
                found[index] = given[0].float().cpu()

            place = compress_of(every[index]).mssa.attention_map
            hooks.callback(place.register_forward_pre_hook(keep).remove)
        model(**arguments)
    return found
