"""Which tokens may attend to which, for every model of the family.

Legend: B batch, N queries, N' keys.

Hugging Face makes the masks. What is added here is ``attend_self=False``, the masked diagonal: a
token is averaged with others only. In the derivation the softmax says which tokens belong together
and a token belongs to itself always; its own term carries no evidence, and since q = k it is the
largest of all. A token with nothing else to attend to, as the first of a causal sequence, attends
to itself: the average of a single token is that token.
"""

import torch
from transformers import Cache
from transformers.masking_utils import (
    ALL_MASK_ATTENTION_FUNCTIONS,
    create_bidirectional_mask,
    create_causal_mask,
)

from .cache_name import named
from .counted_tokens import CountedTokens, counted_tokens


def causal_mask(
    config,
    z: torch.Tensor,
    attention_mask: torch.Tensor | None,
    cache: Cache | None,
    position_ids: torch.Tensor | None,
) -> torch.Tensor | CountedTokens | None:
    """Each token sees those before it in its document, and itself where the model has it so.

    Args:
        config: The model's configuration.
        z: Embedded tokens (B, N, D), for their shape and type.
        attention_mask: (B, past + N), 1 for tokens and 0 for padding, or a mask (B, 1, N, N')
            that takes the place of the causal one.
        cache: Cache that these tokens enter.
        position_ids: (B, N); a position that does not follow its predecessor begins a document;
            ``None`` where every row is one.

    Returns:
        What the configured attention implementation takes, or what the statistics of TSSA do;
        ``None`` where it needs none.

    Raises:
        ValueError: An attention implementation without a mask function, which would let tokens
            see the future, or one that cannot leave out the diagonal.
    """
    count = z.shape[1]
    empty = cache is not None and cache.get_mask_sizes(count, 0) == (count, 0)
    if config.compression == "tssa":
        documents = position_ids if cache is None or empty else None
        return counted_tokens(attention_mask, count, documents)
    _check_implementation(config, attention_mask)
    mask = create_causal_mask(
        config=config,
        inputs_embeds=z,
        attention_mask=attention_mask,
        # Hugging Face looks for documents only where there is no cache; an empty one hides nothing.
        **named(None if empty else cache),
        position_ids=position_ids,
        allow_is_causal_skip=config.attend_self,
    )
    if config.attend_self:
        return mask
    past = 0 if cache is None else cache.get_seq_length()
    return without_self(mask, z, past)


def bidirectional_mask(
    config, z: torch.Tensor, attention_mask: torch.Tensor | None = None
) -> torch.Tensor | CountedTokens | None:
    """Every token sees every other, padding left out.

    Args:
        config: The model's configuration.
        z: Embedded tokens (B, N, D), for their shape and type.
        attention_mask: (B, N), 1 for tokens and 0 for padding; or a mask (B, 1, N, N), whole
            numbers or booleans for allowed, or floating-point numbers added to the scores.

    Returns:
        As :func:`causal_mask`.

    Raises:
        ValueError: As :func:`causal_mask`.
    """
    if attention_mask is None and config.attend_self:
        return None
    if config.compression == "tssa":
        return counted_tokens(attention_mask, z.shape[1])
    _check_implementation(config, attention_mask)
    if isinstance(attention_mask, torch.Tensor) and not attention_mask.is_floating_point():
        attention_mask = attention_mask.bool()
    mask = create_bidirectional_mask(config=config, inputs_embeds=z, attention_mask=attention_mask)
    return mask if config.attend_self else without_self(mask, z, 0)


def without_self(
    mask: torch.Tensor | None, z: torch.Tensor, past: int | torch.Tensor
) -> torch.Tensor:
    """A mask without its diagonal, except for tokens that would be left with nothing.

    Args:
        mask: (B, 1, N, N'), boolean with True for allowed, or added to the scores; ``None`` for
            all allowed.
        z: The queries (B, N, D), for their number and device.
        past: Tokens in the cache before the queries.
    """
    queries = z.shape[1]
    if mask is None:
        mask = torch.ones(1, 1, queries, queries, dtype=torch.bool, device=z.device)
    boolean = mask.dtype == torch.bool
    allowed = mask if boolean else mask > torch.finfo(mask.dtype).min / 2
    place = torch.arange(queries, device=mask.device)[:, None] + past
    own = torch.arange(mask.shape[-1], device=mask.device) == place
    accompanied = (allowed & ~own).any(-1, keepdim=True)
    hidden = own & accompanied
    return mask & ~hidden if boolean else mask.masked_fill(hidden, torch.finfo(mask.dtype).min)


def _check_implementation(config, attention_mask: torch.Tensor | None) -> None:
    name = config._attn_implementation
    if not config.attend_self and name not in ("eager", "sdpa"):
        raise ValueError(
            f"attend_self=False leaves out single places of the mask, which attention "
            f"implementation {name!r} does not take; call "
            f"model.set_attn_implementation('sdpa') or 'eager'."
        )
    prepared = attention_mask is not None and attention_mask.dim() == 4
    if not prepared and name not in ALL_MASK_ATTENTION_FUNCTIONS:
        raise ValueError(
            f"attention implementation {name!r} has no mask function, so that tokens would see "
            f"what they must not; register one with transformers.AttentionMaskInterface."
        )


__all__ = ["bidirectional_mask", "causal_mask", "without_self"]
