"""Layers for inference: a layer's fixed linear maps become the fewest possible products.

Legend: B batch, N tokens, D width, K heads, P head width.

In ISTA, ``v -> v + eta (D^T v - D^T D v) - eta lambda`` is affine and v is a LayerNorm's affine
output, so both are one ``Linear``; the same holds for LayerNorm and the subspace projection. A
folded published layer costs ``2 N (3 D^2 + 2 N D)`` operations. Products of weights are taken in
float64, once.
"""

import copy

import torch
import torch.nn.functional as F
from torch import nn
from transformers import Cache

from .attention import SelfAttention
from .block import Compress, CrateLayer, Sparsify
from .ista import ISTA, PROXIMAL_MAPS, gram_operator
from .mssa import FixedOutput, SubspaceStep, TiedOutput
from .products import Linear
from .tssa import TokenStatistics
from .window import Window


def _linear(weight: torch.Tensor, bias: torch.Tensor | None = None) -> nn.Linear:
    """A frozen Linear of weight (out, in) and bias (out,)."""
    out_features, in_features = weight.shape
    linear = Linear(in_features, out_features, bias=bias is not None, device="meta")
    linear.weight = nn.Parameter(weight.contiguous(), requires_grad=False)
    if bias is not None:
        linear.bias = nn.Parameter(bias.contiguous(), requires_grad=False)
    return linear


class Front(nn.Module):
    """What a step sees of its tokens, and the linear map that begins it.

    LayerNorm's scale and shift are in the map, unless a window lies between the two.
    Shape: (B, N, D) to (B, N, out).
    """

    def __init__(
        self,
        norm: nn.LayerNorm,
        window: Window | None,
        weight: torch.Tensor,
        bias: torch.Tensor | None = None,
    ):
        super().__init__()
        self.eps, self.norm, self.window = norm.eps, None, None
        if window is not None:
            self.norm, self.window = copy.deepcopy(norm), copy.deepcopy(window)
            self.linear = _linear(weight, bias)
            return
        shift = weight @ norm.bias.double()
        bias = shift if bias is None else shift + bias
        self.linear = _linear(weight * norm.weight.double(), bias)

    def forward(
        self,
        z: torch.Tensor,
        position_ids: torch.Tensor | None = None,
        cache: Cache | None = None,
    ) -> torch.Tensor:
        if self.norm is None or self.window is None:
            return self.linear(F.layer_norm(z, z.shape[-1:], eps=self.eps))
        return self.linear(self.window(self.norm(z), position_ids, cache))


def _output_map(mssa: SubspaceStep, gain: float) -> nn.Linear | None:
    """The output matrix of a step with the step's gain in it; ``None`` for a bare identity."""
    subspaces = mssa.subspaces.effective_weight().double()
    bias = None
    if isinstance(mssa.output, TiedOutput):
        weight = subspaces if mssa.output.transpose else subspaces.T
    elif isinstance(mssa.output, nn.Linear | FixedOutput):
        weight = mssa.output.weight.double()
        bias = getattr(mssa.output, "bias", None)
    elif gain == 1.0:
        return None
    else:
        weight = torch.eye(len(subspaces), dtype=torch.float64, device=subspaces.device)
    return _linear(gain * weight, None if bias is None else gain * bias.double())


def _heads(mssa: SubspaceStep, config) -> SelfAttention:
    """What stands between the subspaces and the output matrix, without either."""
    if isinstance(mssa, TokenStatistics):
        heads = TokenStatistics(config, mssa.layer_idx)
        heads.load_state_dict({name: p for name, p in mssa.state_dict().items() if "." not in name})
    else:
        heads = SelfAttention(config, mssa.layer_idx)
    heads.attention_dropout = 0.0
    return heads


class FoldedCompress(nn.Module):
    """:class:`Compress` by MSSA or TSSA with LayerNorm's affine part and the gain folded in.

    Shape: (B, N, D) to (B, N, D), or (B, 1, D) when only the first token is asked for.
    """

    def __init__(self, compress: Compress, config):
        super().__init__()
        mssa = compress.mssa
        self.heads = _heads(mssa, config)
        self.retention = compress.retention
        weight = mssa.subspaces.effective_weight().double()
        self.subspaces = Front(compress.norm, compress.window, weight)
        self.skip_norm = copy.deepcopy(compress.norm) if compress.normed_skip else None
        self.output = _output_map(mssa, compress.gain)

    def forward(
        self,
        z: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        cache: Cache | None = None,
        first_token_only: bool = False,
        **kwargs,
    ) -> torch.Tensor:
        u = self.subspaces(z, position_ids, cache)
        w = u.unflatten(-1, (-1, self.heads.head_dim)).transpose(1, 2)
        query, skip = (w[:, :, :1], z[:, :1]) if first_token_only else (w, z)
        step = self.heads.averages(
            query,
            w,
            w,
            attention_mask,
            position_ids=position_ids,
            cache=cache,
            **kwargs,
        )
        if self.output is not None:
            step = self.output(step)
        if self.skip_norm is not None:
            skip = self.skip_norm(skip)
        return step + (skip if self.retention == 1.0 else self.retention * skip)


class FoldedSparsify(nn.Module):
    """:class:`Sparsify` on a square dictionary as one Linear and the proximal map.

    Shape: (B, N, D) to (B, N, D). ``token_count`` is what other steps ask for, and is not read.
    """

    def __init__(self, sparsify: Sparsify):
        super().__init__()
        block = sparsify.ista
        operator = gram_operator(block.dictionary.double(), block.step_size)
        level = float(block.step_size * block.threshold)
        self.proximal = PROXIMAL_MAPS[block.activation]
        # Under relu the threshold is one more bias; soft thresholding needs it apart.
        rectified = block.activation == "relu"
        bias = torch.full_like(operator[0], -level) if rectified else None
        self.moved = Front(sparsify.norm, sparsify.window, operator.T, bias)
        self.level = None if rectified else level

    def forward(
        self,
        z_half: torch.Tensor,
        position_ids: torch.Tensor | None = None,
        cache: Cache | None = None,
        token_count: torch.Tensor | None = None,
    ) -> torch.Tensor:
        moved = self.moved(z_half, position_ids, cache)
        return moved.relu_() if self.level is None else self.proximal(moved, self.level)


def folded_parts(layer: CrateLayer, config) -> tuple[nn.Module | None, nn.Module | None]:
    """The two steps of a layer for inference; what cannot be folded is returned as it is."""
    compress, sparsify = layer.compress, layer.sparsify
    if compress is not None and isinstance(compress.mssa, SubspaceStep):
        compress = FoldedCompress(compress, config)
    if sparsify is not None and isinstance(sparsify.ista, ISTA):
        sparsify = FoldedSparsify(sparsify)
    return compress, sparsify


__all__ = ["FoldedCompress", "FoldedSparsify", "folded_parts"]
