"""What a text model is given, looked at before it runs.

Legend: B batch, N tokens, D width.
"""

from typing import TypeGuard

import torch

from .bounds import check_range, check_whole
from .configuration_text import TextConfig


def batch_shape(
    input_ids: torch.Tensor | None, inputs_embeds: torch.Tensor | None
) -> tuple[int, ...]:
    """Shape of the tokens, however they are given: (B, N), or (B, choices, N).

    Raises:
        ValueError: Both or neither are given, it is no tensor, or there is nothing in it.
    """
    if (input_ids is None) == (inputs_embeds is None):
        found = "neither" if input_ids is None else "both"
        raise ValueError(f"input_ids or inputs_embeds: found {found}; give one of them.")
    name = "inputs_embeds" if input_ids is None else "input_ids"
    given = inputs_embeds if input_ids is None else input_ids
    if not isinstance(given, torch.Tensor):
        raise ValueError(
            f"{name} is a {type(given).__name__}; expected a tensor, such as a tokenizer gives "
            f"with return_tensors='pt'."
        )
    if 0 in given.shape:
        raise ValueError(
            f"{name} has shape {tuple(given.shape)}; expected at least one sequence of at least "
            f"one token."
        )
    return tuple(given.shape if input_ids is not None else given.shape[:-1])


def check_text(
    input_ids: torch.Tensor | None,
    inputs_embeds: torch.Tensor | None,
    config: TextConfig,
    training: bool,
) -> tuple[int, int]:
    """Tokens by their ids (B, N), or as vectors (B, N, D).

    Returns:
        (B, N).

    Raises:
        ValueError: What :func:`batch_shape` refuses, another shape or type, or an id outside the
            vocabulary.
    """
    shape, width = batch_shape(input_ids, inputs_embeds), config.hidden_size
    if inputs_embeds is not None:
        if len(shape) != 2 or inputs_embeds.shape[2] != width:
            raise ValueError(
                f"inputs_embeds has shape {tuple(inputs_embeds.shape)}; expected (batch, tokens, "
                f"{width})."
            )
    elif input_ids is not None:
        if len(shape) != 2:
            raise ValueError(f"input_ids has shape {shape}; expected (batch, tokens).")
        check_whole("input_ids", input_ids)
        check_token_ids(input_ids, config.vocab_size, training)
    return shape[0], shape[1]


def is_padding_mask(attention_mask: torch.Tensor | None) -> TypeGuard[torch.Tensor]:
    """Whether it marks tokens and padding, (B, N), and not pairs of tokens or nothing."""
    return isinstance(attention_mask, torch.Tensor) and attention_mask.dim() == 2


def check_attention_mask(attention_mask: torch.Tensor | None, batch: int, tokens: int) -> None:
    """A mask of padding (B, N), or of pairs (B or 1, K or 1, N, N).

    Raises:
        ValueError: Another shape.
    """
    if attention_mask is None or not isinstance(attention_mask, torch.Tensor):
        return  # a block mask of flex attention checks itself
    shape = tuple(attention_mask.shape)
    if shape != (batch, tokens) and (len(shape) != 4 or shape[2:] != (tokens, tokens)):
        raise ValueError(
            f"attention_mask has shape {shape}; expected ({batch}, {tokens}), 1 for tokens and 0 "
            f"for padding, or ({batch}, 1, {tokens}, {tokens})."
        )


def check_token_types(
    token_type_ids: torch.Tensor | None, shape: tuple[int, int], config: TextConfig, training: bool
) -> None:
    """Token types (B, N); a model without types takes zeros, which tokenizers may give it.

    Raises:
        ValueError: Another shape or type, or a type that the model does not have.
    """
    if token_type_ids is None:
        return
    if tuple(token_type_ids.shape) != shape:
        raise ValueError(
            f"token_type_ids has shape {tuple(token_type_ids.shape)}; expected {shape}."
        )
    check_whole("token_type_ids", token_type_ids)
    count = max(config.type_vocab_size, 1)
    expected = f"one of {count} token types (type_vocab_size={config.type_vocab_size})."
    check_range("token_type_ids", token_type_ids, count, expected, training)


def check_token_ids(input_ids: torch.Tensor, vocab_size: int, training: bool) -> None:
    """Refuse ids outside the vocabulary before they reach the embedding.

    Args:
        input_ids: (B, N).
        vocab_size: Number of tokens V.
        training: Whether the model is in training mode.

    Raises:
        ValueError: An id outside 0 .. V - 1, named with its place.
    """
    expected = (
        f"in a vocabulary of {vocab_size} tokens; ids run from 0 to {vocab_size - 1}. Use the "
        f"tokenizer that was saved with the model."
    )
    check_range("input_ids", input_ids, vocab_size, expected, training)


__all__ = [
    "batch_shape",
    "check_attention_mask",
    "check_text",
    "check_token_ids",
    "check_token_types",
]
