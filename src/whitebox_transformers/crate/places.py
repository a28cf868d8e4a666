"""Where tokens stand in their sentence, padding on either side left out.

Legend: B batch, N tokens.
"""

import torch

from .bounds import check_range, check_whole
from .configuration_text import TextConfig
from .inputs_text import is_padding_mask


def places(
    input_ids: torch.Tensor | None,
    attention_mask: torch.Tensor | None,
    shape: tuple[int, int],
    pad_token_id: int | None,
    device: torch.device,
) -> torch.Tensor:
    """0, 1, 2, ... for the tokens of every row, -1 for padding; (B, N).

    Padding is what bears the padding token's id, as in RoBERTa and the authors' CRATE-BERT;
    where there are no ids, or no such token, it is where a mask (B, N) is 0.
    """
    if input_ids is not None and pad_token_id is not None:
        real = input_ids != pad_token_id
    elif is_padding_mask(attention_mask):
        real = attention_mask.to(device).bool()
    else:
        return torch.arange(shape[1], device=device).expand(shape)
    return (real.cumsum(1) - 1).masked_fill(~real, -1)


def first_position(config: TextConfig) -> int:
    """Row of the position table for the first token; those before it belong to padding."""
    return 0 if config.pad_token_id is None else config.pad_token_id + 1


def check_length(places: torch.Tensor, config: TextConfig) -> None:
    """Refuse sentences that the positions do not reach.

    Raises:
        ValueError: More tokens than positions, padding not counted.
    """
    first = first_position(config)
    longest = config.max_position_embeddings - first
    if places.shape[1] <= longest:
        return
    # Only a batch padded beyond the table can still fit, which a traced graph cannot see.
    tokens = places.shape[1]
    if not torch.compiler.is_compiling() and not places.is_meta:
        tokens = int(places.max()) + 1
    if tokens > longest:
        kept = f" less {first} rows of padding" if first else ""
        raise ValueError(
            f"a sequence has {tokens} tokens; the model reads at most {longest} "
            f"(max_position_embeddings={config.max_position_embeddings}{kept}). Truncate it: "
            f"tokenizer(..., truncation=True, max_length={longest})."
        )


def check_position_ids(
    position_ids: torch.Tensor, shape: tuple[int, int], config: TextConfig, training: bool
) -> None:
    """Rows of the position table, (B, N) or (1, N).

    Raises:
        ValueError: Another shape or type, or a row that the table does not have.
    """
    if tuple(position_ids.shape) not in (shape, (1, shape[1])):
        raise ValueError(
            f"position_ids has shape {tuple(position_ids.shape)}; expected {shape} or "
            f"(1, {shape[1]})."
        )
    check_whole("position_ids", position_ids)
    rows = config.max_position_embeddings
    check_range("position_ids", position_ids, rows, f"one of {rows} positions.", training)


__all__ = ["check_length", "check_position_ids", "first_position", "places"]
