"""Cache layers of fixed size, for layers that need of past tokens only sums over them.

Legend: B batch, K heads, N tokens, P head width, S = 2 P + 1 sums.

Per layer the cache holds the sums after the last token, (B, K, 1, S) in float32 or better, however
many tokens there were. Importing this module makes ``DynamicCache(config=...)`` and
``StaticCache(config=...)`` use these layers wherever a configuration's ``layer_types`` names them.
Where Hugging Face wants to take tokens out again, as in assisted generation, it says so ahead, and
the sums after each token since are kept until it has decided.
"""

import torch
from transformers import Cache
from transformers.cache_utils import LinearAttentionLayer

from .cache import (
    StaticSubspaceLayer,
    StaticWindowedSubspaceLayer,
    SubspaceLayer,
    WindowedLayer,
)
from .token_statistics import Sums, unpacked


class StatisticsLayer(SubspaceLayer):
    """Sums over all tokens so far; a new token changes their values, not their size."""

    _layer_type = "token_statistics"

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.length, self.record_past = 0, False

    def activate_past_recording(self) -> None:
        """Keep the sums after each token until the next :meth:`crop`."""
        self.record_past = True

    def update(self, key_states, value_states, *args, **kwargs):
        """Take the sums after each of the new tokens, (B, K, N, S), of which the last is kept."""
        if not self.is_initialized:
            self.dtype, self.device = key_states.dtype, key_states.device
            self.is_initialized = True
        self.length += key_states.shape[-2]
        if self.record_past and self.keys is not None:
            key_states = torch.cat([self.keys, key_states], dim=-2)
        elif not self.record_past:
            # A copy: a view would keep the sums of all tokens alive.
            key_states = key_states[..., -1:, :].clone()
        self.keys = self.values = key_states
        return key_states, key_states

    def get_seq_length(self) -> int:
        """Tokens so far."""
        return self.length

    def reset(self) -> None:
        """Forget all tokens."""
        super().reset()
        self.length = 0

    @property
    def is_croppable(self) -> bool:
        """Whether the last tokens can be taken out again."""
        return self.record_past

    def crop(self, tokens_to_remove: int) -> None:
        """Take out the last tokens, a number given negative, and keep no more than one sum.

        Raises:
            ValueError: More tokens than the sums were recorded for.
        """
        removed, keys = abs(tokens_to_remove), self.keys
        if keys is None:
            return
        if tokens_to_remove <= 0 and removed == self.length:
            # Nothing is left, as after a refused proposal to a prompt of one token.
            self.keys = self.values = None
            self.length = 0
            return
        if tokens_to_remove > 0 or removed >= keys.shape[-2]:
            raise ValueError(
                f"crop({tokens_to_remove}): of the tokens before, only sums are kept, here after "
                f"each of the last {keys.shape[-2]}; give a negative number of fewer tokens, and "
                f"call activate_past_recording() before they are read."
            )
        last = keys.shape[-2] - removed
        self.keys = self.values = keys[..., last - 1 : last, :].clone()
        self.length -= removed


class StaticStatisticsLayer(StaticSubspaceLayer):
    """The same sums at an address that stays, for compiled generation."""

    _layer_type = "token_statistics"
    supports_early_init = False
    is_croppable = False

    def lazy_initialization(self, key_states, value_states):
        """Allocate for sums like these."""
        self.allocate(key_states, places=1)

    def update(self, key_states, value_states, *args, **kwargs):
        """Take the sums after each of the new tokens, (B, K, N, S), of which the last is kept."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        assert self.keys is not None  # allocated by now
        self.cumulative_length.add_(key_states.shape[-2])
        self.values = self.keys.copy_(key_states[..., -1:, :])
        return self.keys, self.keys

    def crop(self, tokens_to_remove: int) -> None:
        """Refused: what a token added to the sums is not kept.

        Raises:
            ValueError: There are tokens to remove.
        """
        if tokens_to_remove:
            raise ValueError(
                f"crop({tokens_to_remove}): a static cache keeps sums over tokens and cannot take "
                f"single ones out; use DynamicCache(config=model.config)."
            )


class WindowedStatisticsLayer(StatisticsLayer, WindowedLayer):
    """Sums over all tokens so far, and the last tokens for each window."""

    _layer_type = "windowed_token_statistics"

    def crop(self, tokens_to_remove: int) -> None:
        """Take the last tokens out of the sums and of the windows."""
        StatisticsLayer.crop(self, tokens_to_remove)
        LinearAttentionLayer.crop(self, tokens_to_remove)


class StaticWindowedStatisticsLayer(StaticWindowedSubspaceLayer, StaticStatisticsLayer):
    """The same sums at an address that stays, and the last tokens for each window."""

    _layer_type = "windowed_token_statistics"


def sums_before(cache: Cache, layer_idx: int) -> Sums | None:
    """Sums over the tokens that a cache has of a layer, (B, K, 1, ...); ``None`` where none.

    Raises:
        ValueError: A cache that was made without the model's configuration.
    """
    layer = cache.layers[layer_idx] if cache.layers else None
    if not isinstance(layer, StatisticsLayer | StaticStatisticsLayer):
        raise ValueError(
            f"cache: {type(cache).__name__} has no place for sums over tokens; make it as "
            f"DynamicCache(config=model.config)."
        )
    return None if layer.keys is None else unpacked(layer.keys[..., -1:, :].to(layer.device))


__all__ = [
    "StaticStatisticsLayer",
    "StaticWindowedStatisticsLayer",
    "StatisticsLayer",
    "WindowedStatisticsLayer",
    "sums_before",
]
