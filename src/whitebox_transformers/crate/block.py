"""One layer is one alternating step on the objective; the stack is the only layer loop.

Legend: B batch, N tokens, D width, L layers.

``Compress`` takes Z^l to Z^{l+1/2}, ``Sparsify`` takes Z^{l+1/2} to Z^{l+1} (arXiv 2311.13110,
section 2). A decoder is the same layer run backwards (section 3): the dictionary first, then the
compression step subtracted. Every system of the library is an embedding, this stack and a head.
"""

from collections.abc import Sequence

import torch
from torch import nn
from transformers import Cache
from transformers.modeling_layers import GradientCheckpointingLayer

from .ablations import MLP, QKVAttention
from .cache_name import CACHE, either_cache_name
from .dictionary import LinearDictionary
from .ista import ISTA, Majorizer, OvercompleteISTA
from .mssa import MSSA
from .tssa import TSSA
from .window import Window

COMPRESSIONS = {"mssa": MSSA, "tssa": TSSA, "attention": QKVAttention}
SPARSIFICATIONS = {
    "ista": ISTA,
    "overcomplete": OvercompleteISTA,
    "majorizer": Majorizer,
    "linear": LinearDictionary,
    "mlp": MLP,
}

LayerChoice = bool | Sequence[int] | None


def chosen(name: str, choice: LayerChoice, count: int) -> list[bool]:
    """Which of ``count`` entries a recording request asks for.

    Args:
        name: The request, for the error message.
        choice: All, none, or indices, negative ones from the end.
        count: Number of entries the record has.

    Raises:
        ValueError: A bare number, which could mean a flag or a layer, or an index out of range.
    """
    if isinstance(choice, bool) or choice is None:
        return [bool(choice)] * count
    if isinstance(choice, int):
        raise ValueError(f"{name}={choice}: pass True, or a list of layers such as [{choice}].")
    for index in choice:
        if not -count <= index < count:
            raise ValueError(f"{name}={choice}: indices run from {-count} to {count - 1}.")
    return [index in choice or index - count in choice for index in range(count)]


def watched(module: nn.Module) -> bool:
    """Whether a forward hook is on the module or inside it, whose owner expects every token."""
    return any(part._forward_hooks or part._forward_pre_hooks for part in module.modules())


class Record(nn.Module):
    """Hands its input to whoever records this module's output, or ``None`` where not wanted."""

    def forward(self, z: torch.Tensor, wanted: bool) -> torch.Tensor | None:
        return z if wanted else None


class RecordZ(Record):
    """Sees Z^l for every l."""


class RecordZHalf(Record):
    """Sees Z^{l+1/2} for every l."""


class Compress(nn.Module):
    """Z^l to Z^{l+1/2}: ``Z + MSSA(LN Z)`` as published, (B, N, D) to (B, N, D); or with TSSA.

    With the derivation's step c = kappa gamma it is ``(1 - c) Z + c MSSA(LN Z)``. A decoder has
    ``mssa_sign`` -1: ``Z - MSSA(LN Z)``, or the same step back, ``(1 + c) Z - c MSSA(LN Z)``. With
    a window the operator sees the widened tokens; what they are added to stays. With
    ``first_token_only`` the step is taken for the first token alone, (B, 1, D), by all of them.
    """

    def __init__(self, config, layer_idx: int = 0):
        super().__init__()
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.window = None if config.window is None else Window(config, layer_idx)
        self.mssa = COMPRESSIONS[config.compression](config, layer_idx)
        self.normed_skip = config.mssa_skip == "normed"
        sign, step = config.mssa_sign, config.mssa_step
        self.retention = 1.0 if step is None else 1.0 - sign * step
        self.gain = sign * (1.0 if step is None else step)
        # In the data path, so that a hook on it sees and may scale what is added to the token.
        self.step = nn.Identity()

    def forward(
        self,
        z,
        attention_mask=None,
        position_ids=None,
        cache=None,
        first_token_only=False,
        **kwargs,
    ):
        normed = self.norm(z)
        seen = normed
        if self.window is not None:
            seen = self.window(normed, position_ids, cache)
        step = self.mssa(
            seen,
            attention_mask,
            position_ids=position_ids,
            cache=cache,
            first_token_only=first_token_only,
            **kwargs,
        )
        skip = normed if self.normed_skip else z
        if first_token_only:
            skip = skip[:, :1]
        if self.gain != 1.0:
            step = self.gain * step
        if self.retention != 1.0:
            skip = self.retention * skip
        return skip + self.step(step)


class Sparsify(nn.Module):
    """Z^{l+1/2} to Z^{l+1}: ``ISTA(LN Z)``, (B, N, D) to (B, N, D).

    The published block has no skip: the residual stream is made anew. The overcomplete block of
    CRATE-alpha and the MLP ablation add their output to Z^{l+1/2}; a decoder subtracts it, the same
    step back. With a window in front of it the step is taken from the widened tokens.
    """

    def __init__(self, config, layer_idx: int = 0):
        super().__init__()
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.window = None
        if config.window_at == "both":
            self.window = Window(config, layer_idx, state_idx=1)
        self.ista = SPARSIFICATIONS[config.sparsification](config)
        overcomplete = config.sparsification == "overcomplete" and config.ista_residual
        self.residual = overcomplete or config.sparsification == "mlp"
        self.backwards = config.sparsify_first

    def forward(self, z_half, position_ids=None, cache=None, token_count=None):
        v = self.norm(z_half)
        if self.window is not None:
            v = self.window(v, position_ids, cache)
        sparse = self.ista(v) if token_count is None else self.ista(v, token_count)
        if not self.residual:
            return sparse
        return z_half - sparse if self.backwards else z_half + sparse


class CrateLayer(GradientCheckpointingLayer):
    """One layer: compress, then sparsify, or in a decoder the other way round.

    Either may be absent by configuration. Z^{l+1/2} is what stands between the two.
    ``token_count`` (B, 1, 1) is given where the step depends on it (:class:`.ista.Majorizer`) and
    rows are padded. ``first_token_only`` asks for the first token of Z^{l+1}, (B, 1, D).
    """

    def __init__(self, config, layer_idx: int = 0):
        super().__init__()
        self.compress = None if config.compression == "none" else Compress(config, layer_idx)
        self.sparsify = None if config.sparsification == "none" else Sparsify(config, layer_idx)
        self.sparsify_first = config.sparsify_first
        self.record_z_half = RecordZHalf()

    @either_cache_name
    def forward(
        self,
        z,
        attention_mask=None,
        position_ids=None,
        cache=None,
        record_z_half=False,
        token_count=None,
        first_token_only=False,
        **kwargs,
    ):
        context = {"position_ids": position_ids, "cache": cache}

        def compress(z):
            step = self.compress
            if step is None:
                return z[:, :1] if first_token_only else z
            asked = {"first_token_only": first_token_only, **kwargs}
            return step(z, attention_mask, **context, **asked)

        def sparsify(z):
            step = self.sparsify
            return z if step is None else step(z, token_count=token_count, **context)

        first, second = (sparsify, compress) if self.sparsify_first else (compress, sparsify)
        z_half = first(z)
        self.record_z_half(z_half, record_z_half)
        return second(z_half)


class CrateStack(nn.Module):
    """L layers in sequence, Z^0 to Z^L, with Hugging Face's recording of what happens between.

    Recording requests (``output_attentions``, ``output_z``, ``output_z_half``) are True, or the
    layers wanted; entries of other layers are ``None``.
    """

    def __init__(self, config):
        super().__init__()
        # The majorizer's step depends on the number of tokens, so it needs all of them.
        self.tokenwise = config.sparsification != "majorizer" and not config.sparsify_first
        self.layers = nn.ModuleList(
            CrateLayer(config, index) for index in range(config.num_hidden_layers)
        )
        self.record_z = RecordZ()

    def forward(
        self,
        z: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        output_attentions: LayerChoice = None,
        output_z: LayerChoice = None,
        output_z_half: LayerChoice = None,
        cache: Cache | None = None,
        first_token_only: bool = False,
        **kwargs,
    ) -> torch.Tensor:
        """Z^0 to Z^L, (B, N, D) to (B, N, D).

        With ``first_token_only``, for a reader of the class token, the last layer is run for the
        first token alone, by all tokens of Z^{L-1}: (B, 1, D). All come where its step needs all,
        and where somebody watches the layer by a hook.
        """
        # By Hugging Face's name, by which it keeps a cache from layers that are run twice.
        kwargs[CACHE] = cache
        depth = len(self.layers)
        attention_wanted = chosen("output_attentions", output_attentions, depth)
        z_wanted = chosen("output_z", output_z, depth + 1)
        z_half_wanted = chosen("output_z_half", output_z_half, depth)
        for index, layer in enumerate(self.layers):
            self.record_z(z, z_wanted[index])
            if first_token_only and index == depth - 1 and self.tokenwise and not watched(layer):
                kwargs["first_token_only"] = True
                attention_mask = None if attention_mask is None else attention_mask[:, :, :1]
            z = layer(
                z,
                attention_mask,
                record_z_half=z_half_wanted[index],
                record_attention=attention_wanted[index],
                **kwargs,
            )
        self.record_z(z, z_wanted[depth])
        return z


__all__ = ["Compress", "CrateLayer", "CrateStack", "Sparsify", "chosen"]
