"""The coefficients of chosen layers, batch by batch, in passing.

Legend: B samples in a batch, N tokens, M coefficients of a layer (atoms of its dictionary).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack

import torch
from torch import Tensor
from transformers import PreTrainedModel

from .layers import checked_index, evaluating, layer_at, sparsify_of, white_box_layers
from .padding import real_tokens, samples_in

See = Callable[[int, int, Tensor, Tensor], None]
"""Takes the layer, the number of the batch's first sample, the coefficients (B, N, M), and which
tokens are real (B, N), padding being what is not."""


def observe_codes(
    model: PreTrainedModel,
    batches: Iterable[Mapping[str, Tensor]],
    layers: Sequence[int] | None,
    see: See,
) -> int:
    """Run batches and show the coefficients of each layer as they come, one layer at a time.

    Args:
        model: Any model of the CRATE family, not folded.
        batches: Mappings of the model's arguments; ``labels`` are left out.
        layers: Indices, from 0 or negative from the end; None for all.
        see: Called for every layer of every batch; must not keep what it is given.

    Returns:
        How many samples were seen.

    Raises:
        UserError: No such layer, layers without coefficients, or a sample of padding alone.
    """
    count = 0
    real: Tensor | None = None

    def hook(layer: int, codes: Tensor) -> None:
        every = torch.ones(codes.shape[:2], dtype=torch.bool, device=codes.device)
        see(layer, count, codes, every if real is None else real)

    with ExitStack() as hooks, evaluating(model), torch.inference_mode():
        for index in chosen_layers(model, layers):
            module = sparsify_of(layer_at(model, index)).ista.codes
            handle = module.register_forward_hook(
                lambda _, __, codes, index=index: hook(index, codes)
            )
            hooks.callback(handle.remove)
        for batch in batches:
            inputs = {k: v.to(model.device) for k, v in batch.items() if k != "labels"}
            real = real_tokens(inputs)
            model.base_model(**inputs)  # without its head, which nobody looks at
            count += samples_in(inputs)
    return count


def chosen_layers(model: PreTrainedModel, layers: Sequence[int] | None) -> list[int]:
    """Indices of layers counted from the front, in order.

    Raises:
        UserError: No such layer, or no CRATE layers at all.
    """
    layer_at(model, 0)
    depth = len(white_box_layers(model))
    asked = range(depth) if layers is None else layers
    return sorted({checked_index("layer", layer, depth) for layer in asked})
