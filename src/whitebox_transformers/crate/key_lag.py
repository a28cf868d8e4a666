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

    Where that is before the beginning of the document, it becomes zero, which is as far from every
    token as from any other.

    Args:
        key: Keys of all places, those of a cache included, (B, K, N', P).
        lags: Tokens that each of the K heads lags behind, none of them negative.
        positions: Place of each token in its document, (B, N') or (1, N'), not positive at its
            first token and at padding before it; ``None`` where every row is one whole document.

    Returns:
        (B, K, N', P).
    """
    places = key.shape[2]
    by_lag = {0: key}
    for lag in set(lags) - {0}:
        moved = F.pad(key, (0, 0, lag, 0))[:, :, :places]
        if positions is not None:
            moved = moved.masked_fill(~reachable(positions, -lag)[:, None, :, None], 0.0)
        by_lag[lag] = moved
    if len(set(lags)) == 1:
        return by_lag[lags[0]]
    parts, first = [], 0
    for lag, heads in groupby(lags):
        last = first + len(list(heads))
        parts.append(by_lag[lag][:, first:last])
        first = last
    return torch.cat(parts, dim=1)


__all__ = ["lagged"]
