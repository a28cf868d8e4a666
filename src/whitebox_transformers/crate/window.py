"""A token becomes a short window before a step sees it.

Legend: B batch, N tokens, D width, W width of the window.

The compression step measures the rate of tokens in subspaces. Widening the token to itself and a
weighted few of its neighbours makes these subspaces hold windows of the sequence, so that what is
compared is a short history in place of a single token: the same objective, of other vectors. In
front of the sparsification step the dictionary likewise codes windows.
"""

import torch
import torch.nn.functional as F
from torch import nn
from transformers import Cache
from transformers import initialization as init


class Window(nn.Module):
    """``z_t + sum_o w_o * z_{t+o}``, coordinate by coordinate: (B, N, D) to (B, N, D).

    The offsets o run over the last W tokens in a causal model, ``1 - W .. 0``, and over the W
    around a token otherwise. The weights start at zero, where this is the identity. No offset
    reaches over the beginning or the end of a document. A cache holds the last tokens of each
    window of a layer, told apart by ``state_idx``.
    """

    def __init__(self, config, layer_idx: int = 0, state_idx: int = 0):
        super().__init__()
        self.layer_idx, self.state_idx = layer_idx, state_idx
        self.back = config.window - 1 if config.is_causal else config.window // 2
        self.ahead = config.window - 1 - self.back
        self.weight = nn.Parameter(torch.empty(config.window, config.hidden_size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start as the identity."""
        init.zeros_(self.weight)

    def forward(
        self,
        z: torch.Tensor,
        position_ids: torch.Tensor | None = None,
        cache: Cache | None = None,
    ) -> torch.Tensor:
        """Widen tokens.

        Args:
            z: (B, N, D).
            position_ids: Place of each token in its document, (B, N) or (1, N), negative where
                there is only padding; ``None`` where every row is one whole document.
            cache: Holds the last tokens before these; extended by these.

        Raises:
            ValueError: A cache that was made without the model's configuration.
        """
        count = z.shape[1]
        padded = F.pad(self.with_past(z, cache), (0, 0, 0, self.ahead))
        widened = z
        for index, weight in enumerate(self.weight):
            tap = padded[:, index : index + count] * weight
            offset = index - self.back
            if offset and position_ids is not None:
                tap = tap.masked_fill(~reachable(position_ids, offset)[..., None], 0.0)
            widened = widened + tap
        return widened

    def with_past(self, z: torch.Tensor, cache: Cache | None) -> torch.Tensor:
        """These tokens after the ``back`` before them, zeros before a beginning."""
        seen = z
        if cache is not None:
            layers = cache.layers
            if not hasattr(layers[self.layer_idx] if layers else None, "update_conv_state"):
                raise ValueError(
                    f"cache: {type(cache).__name__} has no place for the last "
                    f"tokens of a window; make it as DynamicCache(config=model.config)."
                )
            states = cache.update_conv_state(
                z.mT, self.layer_idx, self.state_idx, conv_kernel_size=self.back
            )
            seen = states.mT[:, -(z.shape[1] + self.back) :]
        return F.pad(seen, (0, 0, self.back + z.shape[1] - seen.shape[1], 0))


def reachable(position_ids: torch.Tensor, offset: int) -> torch.Tensor:
    """Whether the token ``offset`` places away is of the same document, (B, N) or (1, N)."""
    if offset < 0:
        return position_ids >= -offset
    shifted = F.pad(position_ids, (0, offset), value=-1)[:, offset:]
    return shifted == position_ids + offset


__all__ = ["Window"]
