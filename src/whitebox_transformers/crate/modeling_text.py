"""What the text models of the family share: initialisation and positions.

Legend: B batch, N tokens, N' tokens that may be attended to, D width.
"""

from typing import Any

import torch
from torch import nn
from transformers import Cache
from transformers import initialization as init

from .bounds import check_range
from .configuration_text import TextConfig
from .modeling_family import FamilyPreTrainedModel
from .rotary import Rotary, key_positions, rotation


class CrateTextPreTrainedModel(FamilyPreTrainedModel):
    """Loading, saving and initialisation of the text models.

    Fresh weights follow the authors: linear maps and embeddings normal with standard deviation
    ``initializer_range``, biases zero, dictionaries as ``dictionary_init`` says.
    """

    main_input_name = "input_ids"
    input_modalities = "text"
    _input_embed_layer = "word_embeddings"

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, nn.Linear | nn.Embedding):
            init.normal_(module.weight, std=self.config.initializer_range)
        if isinstance(module, nn.Linear) and module.bias is not None:
            init.zeros_(module.bias)


def checked_positions(
    config: TextConfig,
    shape: tuple[int, int],
    past: int | torch.Tensor,
    attention_mask: torch.Tensor | None,
    position_ids: torch.Tensor | None,
    training: bool,
) -> torch.Tensor:
    """Positions of these tokens in their documents, (B, N) or (1, N).

    Where none are given they count the real tokens of a mask (B, past + N), so that padding on the
    left changes nothing, and otherwise all tokens.

    Args:
        config: The model's configuration.
        shape: (B, N).
        past: Tokens in the cache, a tensor if it is static.
        attention_mask: As for the model.
        position_ids: As for the model.
        training: Whether the model is in training mode.

    Raises:
        ValueError: More tokens, or a position, than the context has, or a mask or positions of
            another shape.
    """
    batch, count = shape
    context = config.max_position_embeddings
    padding = attention_mask if attention_mask is not None and attention_mask.dim() == 2 else None
    # A traced graph has no place for numbers read from tensors.
    readable = isinstance(past, int) or not torch.compiler.is_compiling()
    length = count + (int(past) if readable else 0)
    if padding is not None and (len(padding) != batch or padding.shape[1] < length):
        raise ValueError(
            f"attention_mask has shape {tuple(padding.shape)}; expected ({batch}, {length}),"
            f" a 1 or 0 for each token, those in the cache included."
        )
    if position_ids is not None:
        if tuple(position_ids.shape) not in (shape, (1, count)):
            raise ValueError(
                f"position_ids has shape {tuple(position_ids.shape)}; expected {shape} or "
                f"(1, {count})."
            )
        expected = f"one of the {context} positions of the context (max_position_embeddings)."
        check_range("position_ids", position_ids, context, expected, training)
        return position_ids
    if length > context:
        raise ValueError(
            f"a sequence has {length} tokens; the model reads at most {context} "
            f"(max_position_embeddings). Truncate it: "
            f"tokenizer(..., truncation=True, max_length={context})."
        )
    if padding is not None:
        return (padding.long().cumsum(-1) - 1).clamp(min=0)[:, -count:]
    device = None if isinstance(past, int) else past.device
    return (torch.arange(count, device=device) + past)[None]


def positions_of_keys(position_ids: torch.Tensor, cache: Cache | None) -> torch.Tensor:
    """Positions of all tokens that may be attended to, (B, N') or (1, N').

    The same object where there is no past.
    """
    if cache is None:
        return position_ids
    count = position_ids.shape[1]
    keys, _ = cache.get_mask_sizes(count, 0)
    if keys == count:
        return position_ids
    return key_positions(position_ids, cache.get_seq_length(), keys)


def rotary_positions(
    config: TextConfig, position_ids: torch.Tensor, of_keys: torch.Tensor, dtype: torch.dtype
) -> Rotary:
    """Rotations of the queries and keys of a call, by their positions (B, N) and (B, N')."""
    assert config.head_dim is not None  # filled in by the configuration
    queries = rotation(position_ids, config.head_dim, config.rope_theta, dtype)
    if of_keys is position_ids:
        return Rotary(queries, queries)
    return Rotary(queries, rotation(of_keys, config.head_dim, config.rope_theta, dtype))


def layer_positions(
    config: TextConfig,
    position_ids: torch.Tensor,
    cache: Cache | None,
    whole: bool,
    dtype: torch.dtype,
) -> dict[str, Any]:
    """What the layers of a causal model are told of the positions of tokens.

    Args:
        config: The model's configuration.
        position_ids: (B, N) or (1, N).
        cache: Cache that these tokens enter.
        whole: Every row is one whole document without padding, so that nothing but rotations
            asks for positions.
        dtype: Type of the rotations.

    Returns:
        ``position_ids``, ``rotary`` and ``key_positions``, ``None`` where not asked for.
    """
    unread = whole and not config.membership_bias
    told = {"position_ids": None if unread else position_ids, "rotary": None, "key_positions": None}
    rotated, lagging = config.position_embedding_type == "rotary", config.head_lags is not None
    if rotated or (lagging and not whole):
        of_keys = positions_of_keys(position_ids, cache)
        if rotated:
            told["rotary"] = rotary_positions(config, position_ids, of_keys, dtype)
        if lagging and not whole:
            told["key_positions"] = of_keys
    return told


__all__ = [
    "CrateTextPreTrainedModel",
    "checked_positions",
    "layer_positions",
    "positions_of_keys",
    "rotary_positions",
]
