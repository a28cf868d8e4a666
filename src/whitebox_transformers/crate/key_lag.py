"""Keys that lag: a token is compared with what came before the tokens that it averages.

Legend: B batch, K heads, N' tokens that may be attended to, P head width.

Since q = k = v, a token averages tokens like itself, and the more alike the more. In a text what
matters about such a token is what came after it. In a head with lag 1 the key of token j is u of
token j - 1, query and value stay: a token averages the tokens that followed tokens like itself.
That is a descent step on the coding rate of the pairs (predecessor, token) by the half of the last
pair that is not there yet, to first order at zero; the documentation derives it.
"""

from collections.abc import Sequence
from itertools import groupby

import torch
import torch.nn.functional as F

from .window import reachable


def lagged(
    key: torch.Tensor, lags: Sequence[int], positions: torch.Tensor | None = None
) -> torch.Tensor:
    """In head k the key of place j becomes that of place ``j - lags[k]``.

    Where that is outside the document, it becomes zero, which is as far from every token as from
    any other.

    Args:
        key: Keys of all places, those of a cache included, (B, K, N', P).
        lags: Tokens that each of the K heads lags behind; negative, without a cache, that it is
            ahead.
        positions: Place of each token in its document, (B, N') or (1, N'), not positive at its
            first token and at padding; ``None`` where every row is one whole document.

    Returns:
        (B, K, N', P).
    """
    parts, first = [], 0
    for lag, heads in groupby(lags):
        last = first + len(list(heads))
        parts.append(_moved(key[:, first:last], lag, positions))
        first = last
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


def _moved(key: torch.Tensor, lag: int, positions: torch.Tensor | None) -> torch.Tensor:
    """The key of place j becomes that of place ``j - lag`` in all these heads."""
    if lag == 0:
        return key
    count = key.shape[2]
    steps = max(-count, min(lag, count))
    moved = F.pad(key, (0, 0, steps, -steps))  # what is negative takes away
    if positions is not None:
        moved = moved.masked_fill(~reachable(positions, -lag)[:, None, :, None], 0.0)
    return moved


__all__ = ["lagged"]
