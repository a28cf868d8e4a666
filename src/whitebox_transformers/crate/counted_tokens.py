"""Which tokens enter the statistics of which, where layers sum over tokens and compare none.

Legend: B batch, N tokens.
"""

from typing import NamedTuple

import torch


class CountedTokens(NamedTuple):
    """What stands in place of a mask of pairs."""

    real: torch.Tensor | None
    """(B, N), False for padding; ``None`` where there is none."""
    start: torch.Tensor | None
    """Place of the first token of each token's document, (B, N) or (1, N); ``None`` where every row
    is one document."""


def counted_tokens(
    attention_mask: torch.Tensor | None, count: int, position_ids: torch.Tensor | None = None
) -> CountedTokens | None:
    """Which tokens are counted, ``None`` for all.

    Args:
        attention_mask: (B, past + N), 1 for tokens and 0 for padding.
        count: N.
        position_ids: (B, N) or (1, N); a position that does not follow its predecessor begins a
            document. Not read where there is an ``attention_mask``, as in Hugging Face's masks.

    Raises:
        ValueError: A mask of pairs of tokens.
    """
    if attention_mask is not None:
        if not isinstance(attention_mask, torch.Tensor) or attention_mask.dim() != 2:
            found = getattr(attention_mask, "shape", type(attention_mask).__name__)
            raise ValueError(
                f"attention_mask: {found}; with compression='tssa' no pairs of tokens are "
                f"compared that a mask could part. Give (batch, tokens), 1 for tokens and 0 for "
                f"padding."
            )
        return CountedTokens(attention_mask[:, -count:] != 0, None)
    if position_ids is None:
        return None
    place = torch.arange(count, device=position_ids.device).expand_as(position_ids)
    begins = place == 0
    begins[:, 1:] |= position_ids[:, 1:] != position_ids[:, :-1] + 1
    return CountedTokens(None, torch.where(begins, place, 0).cummax(1).values)


__all__ = ["CountedTokens", "counted_tokens"]
