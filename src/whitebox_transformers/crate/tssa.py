"""TSSA: the compression step whose cost is linear in the tokens (ToST, arXiv 2412.17810).

Legend: B batch, N tokens, D width, K heads (subspaces), P head width. Tokens are rows.

The same subspaces and output matrix as in :mod:`.mssa`, between them :mod:`.token_statistics` in
place of attention. Its causal form needs of all tokens before only three sums, so that a cache
takes the same few bytes after any number of tokens.
"""

import torch
from torch import nn
from transformers import Cache
from transformers import initialization as init
from transformers.utils.generic import maybe_autocast

from .attention import AttentionMap, SelfAttention
from .counted_tokens import CountedTokens
from .mssa import SubspaceStep
from .statistics_cache import sums_before
from .token_statistics import Compressed, bidirectional, causal


class MembershipMap(AttentionMap):
    """Memberships (B, K, N, 1) for whoever records attention, else ``None``.

    There is no attention between tokens; what a head has of a token is its membership.
    """

    def forward(self, membership: torch.Tensor, wanted: bool) -> torch.Tensor | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        return membership.unsqueeze(-1) if wanted else None


class TokenStatistics(SelfAttention):
    """What stands in place of attention: projections (B, K, N, P) to head outputs (B, N, K * P).

    Parameters are a temperature per head, 1 when fresh, and with ``membership_bias`` a bias on the
    memberships per head and position, 0 when fresh. Statistics are taken in float32 or better,
    whatever autocast says.
    """

    def __init__(self, config, layer_idx: int = 0):
        super().__init__(config, layer_idx)
        self.attention_map = MembershipMap()
        self.temperature = nn.Parameter(torch.empty(self.num_heads))
        self.membership_bias = None
        if config.membership_bias:
            positions = config.max_position_embeddings
            self.membership_bias = nn.Parameter(torch.empty(self.num_heads, positions))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start as the authors do: temperatures one, biases zero."""
        init.ones_(self.temperature)
        if self.membership_bias is not None:
            init.zeros_(self.membership_bias)

    def averages(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: CountedTokens | None,
        record_attention: bool = False,
        cache: Cache | None = None,
        position_ids: torch.Tensor | None = None,
        **kwargs,
    ) -> torch.Tensor:
        """What the heads make of their tokens, (B, N, K * P).

        Args:
            query: Tokens the step is for, (B, K, N, P); ``key`` itself, or some of its tokens
                where the model is not causal.
            key: Tokens whose moments count.
            value: ``key``.
            attention_mask: Which tokens count, ``None`` for all.
            record_attention: Show the memberships to whoever records them.
            cache: Holds the sums over the tokens before these; extended by these.
            position_ids: Position of each token in its document, (B, N) or (1, N), read by
                ``membership_bias``.
            kwargs: What attention reads; not read here.
        """
        real, start = (None, None) if attention_mask is None else attention_mask
        with maybe_autocast(key.device.type, enabled=False):
            wide = torch.promote_types(key.dtype, torch.float32)
            temperature, w = self.temperature.to(wide), key.to(wide)
            if self.is_causal:
                found = self._causally(w, temperature, real, start, cache, position_ids)
            else:
                tokens = w if query is key else query.to(wide)
                found = bidirectional(tokens, w, temperature, real)
            self.attention_map(found.membership, record_attention)
        return self.heads(found.heads.transpose(1, 2).to(key.dtype)).flatten(-2)

    def _causally(
        self,
        w: torch.Tensor,
        temperature: torch.Tensor,
        real: torch.Tensor | None,
        start: torch.Tensor | None,
        cache: Cache | None,
        position_ids: torch.Tensor | None,
    ) -> Compressed:
        bias = None
        if self.membership_bias is not None and position_ids is not None:
            bias = self.membership_bias[:, position_ids].transpose(0, 1).to(w.dtype)
        past = None if cache is None else sums_before(cache, self.layer_idx)
        found, sums = causal(w, temperature, bias, real, start, past)
        if cache is not None:
            packed = sums.packed()
            cache.update(packed, packed, self.layer_idx)
        return found


class TSSA(SubspaceStep, TokenStatistics):
    """Token statistics self-attention, (B, N, D) to (B, N, D).

    The output matrix is the configuration's ``mssa_output``; with the subspaces themselves as
    output (``tied``) the step is a multiple of the negative gradient of
    :func:`.variational_rate.variational_rate`. The minus sign is part of the operator: a layer adds
    it.
    """


__all__ = ["TSSA", "MembershipMap", "TokenStatistics"]
