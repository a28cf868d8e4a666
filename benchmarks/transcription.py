"""A model whose layers are the published formulas as they stand, from ``tests/oracles``."""

from __future__ import annotations

import copy

from tests.oracles.operators import ista, subspace_attention
from torch import Tensor, nn
from transformers import PreTrainedModel

from whitebox_transformers.crate.block import CrateLayer
from whitebox_transformers.crate.dictionary import LinearDictionary
from whitebox_transformers.crate.ista import ISTA
from whitebox_transformers.crate.mssa import MSSA


class PlainMSSA(nn.Module):
    """Explicit softmax attention; no mask of padding."""

    def __init__(self, mssa: MSSA):
        super().__init__()
        self.subspaces, self.output = mssa.subspaces, mssa.output
        self.heads, self.causal = mssa.num_heads, mssa.is_causal

    def forward(self, z: Tensor, attention_mask: Tensor | None = None, **kwargs) -> Tensor:
        averages = subspace_attention(z, self.subspaces.weight, self.heads, causal=self.causal)
        return self.output(averages)


class PlainISTA(nn.Module):
    """Three products."""

    def __init__(self, block: ISTA):
        super().__init__()
        self.dictionary = block.dictionary
        self.step_size, self.threshold = block.step_size, block.threshold

    def forward(self, v: Tensor) -> Tensor:
        return ista(v, self.dictionary, self.step_size, self.threshold)


def transcribed(model: PreTrainedModel) -> PreTrainedModel:
    """A copy with the published layers spelled out; embedding and head are the model's own.

    Raises:
        ValueError: A layer that is not the published one.
    """
    plain = copy.deepcopy(model)
    for layer in [part for part in plain.modules() if isinstance(part, CrateLayer)]:
        compress, sparsify = layer.compress, layer.sparsify
        if compress is None or sparsify is None or type(compress.mssa) is not MSSA:
            raise ValueError("the transcription is of published layers: MSSA and a dictionary")
        compress.mssa = PlainMSSA(compress.mssa)
        if isinstance(sparsify.ista, ISTA):
            sparsify.ista = PlainISTA(sparsify.ista)
        elif not isinstance(sparsify.ista, LinearDictionary):  # E y is one product already
            raise ValueError(f"{type(sparsify.ista).__name__} has no transcription")
    return plain
