"""Cache layers that hold one tensor, because in MSSA query, key and value are one projection.

Legend: B batch, K heads, N cached tokens, P head width, D width.

Per layer the cache is u, (B, K, N, P): half of what keys and values take. Importing this module
makes ``DynamicCache(config=...)`` and ``StaticCache(config=...)`` use these layers wherever a
configuration's ``layer_types`` names them. Methods of Hugging Face that treat keys and values
apart leave two tensors until the next update shares them again. With a window, the last tokens
before the projection are kept beside u, as Hugging Face keeps the state of a convolution.
"""

import torch
from transformers.cache_utils import (
    DynamicLayer,
    LinearAttentionAndFullAttentionLayer,
    LinearAttentionAndStaticFullAttentionLayer,
    LinearAttentionLayer,
    StaticLayer,
)


class SubspaceLayer(DynamicLayer):
    """u of all tokens so far, growing."""

    _layer_type = "subspace_attention"

    def update(self, key_states, value_states, *args, **kwargs):
        """Append u, (B, K, N, P); returns all of it twice, as key and as value."""
        u = key_states
        if self.keys is None:
            self.dtype, self.device, self.is_initialized = u.dtype, u.device, True
        else:
            u = torch.cat([self.keys, u], dim=-2)
        self.keys = self.values = u
        return u, u


class StaticSubspaceLayer(StaticLayer):
    """u in a tensor of fixed size, for compiled generation."""

    _layer_type = "subspace_attention"

    def lazy_initialization(self, key_states, value_states):
        """Allocate for tokens like these."""
        self.allocate(key_states, self.max_cache_len)

    def allocate(self, key_states: torch.Tensor, places: int) -> None:
        """Make room for as many tokens like these."""
        self.dtype, self.device = key_states.dtype, key_states.device
        self.batch_size, self.num_heads, _, self.k_head_dim = key_states.shape
        self.v_head_dim = self.k_head_dim
        shape = (self.batch_size, self.num_heads, places, self.k_head_dim)
        self.keys = self.values = torch.zeros(shape, dtype=self.dtype, device=self.device)
        self.cumulative_length = self.cumulative_length.to(self.device)
        if not torch.compiler.is_compiling():
            # CUDA graphs need addresses that stay.
            torch._dynamo.mark_static_address(self.keys)
            torch._dynamo.mark_static_address(self.cumulative_length)
        self.is_initialized = True

    def update(self, key_states, value_states, *args, **kwargs):
        """Write u into the next places; returns the whole tensor twice."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        count = key_states.shape[-2]
        places = torch.arange(count, device=self.device) + self.cumulative_length
        self.cumulative_length.add_(count)
        assert self.keys is not None  # allocated by now
        self.values = self.keys.index_copy_(2, places, key_states)
        return self.keys, self.keys


class WindowStates(LinearAttentionLayer):
    """The last tokens for as many windows as a layer has."""

    def update_conv_state(self, conv_states: torch.Tensor, state_idx: int = 0, **kwargs):
        """Append tokens (B, D, N) to those of a window.

        Hugging Face tells only layers of its own how many states they have; ours make room.
        """
        for index in range(self.number_of_states, state_idx + 1):
            for missing in (self.conv_states, self.recurrent_states, self.conv_kernel_size):
                missing[index] = None
            for told in (
                self.is_conv_states_initialized,
                self.is_recurrent_states_initialized,
                self.has_previous_state,
            ):
                told[index] = False
            self.number_of_states = index + 1
        return super().update_conv_state(conv_states, state_idx, **kwargs)


class WindowedLayer(WindowStates, LinearAttentionAndFullAttentionLayer):
    """Keys and values of all tokens so far, and the last tokens for each window."""

    _layer_type = "windowed_attention"

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Repeat every row."""
        super().batch_repeat_interleave(repeats)
        for index, tokens in self.conv_states.items():
            if tokens is not None:
                self.conv_states[index] = tokens.repeat_interleave(repeats, dim=0)

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Keep these rows."""
        super().batch_select_indices(indices)
        for index, tokens in self.conv_states.items():
            if tokens is not None:
                self.conv_states[index] = tokens[indices]


class StaticWindowedLayer(WindowStates, LinearAttentionAndStaticFullAttentionLayer):
    """Keys and values in tensors of fixed size, and the last tokens for each window."""

    _layer_type = "windowed_attention"

    def get_max_length(self) -> int:
        """Places for tokens."""
        return self.max_cache_len


class WindowedSubspaceLayer(SubspaceLayer, WindowedLayer):
    """u of all tokens so far, and the last tokens for each window."""

    _layer_type = "windowed_subspace_attention"


class StaticWindowedSubspaceLayer(StaticSubspaceLayer, StaticWindowedLayer):
    """u in a tensor of fixed size, and the last tokens for each window."""

    _layer_type = "windowed_subspace_attention"

    def lazy_initialization(self, *args, **kwargs):
        """Allocate u when given keys, the last tokens when given a state by name."""
        if kwargs:
            StaticWindowedLayer.lazy_initialization(self, **kwargs)
        else:
            super().lazy_initialization(*args)


__all__ = [
    "StaticSubspaceLayer",
    "StaticWindowedLayer",
    "StaticWindowedSubspaceLayer",
    "SubspaceLayer",
    "WindowedLayer",
    "WindowedSubspaceLayer",
]
