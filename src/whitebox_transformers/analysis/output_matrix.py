"""How much of a layer's output matrix is the derivation's [U_1, ..., U_K].

Legend: D width, K heads, P head width.
"""

from __future__ import annotations

import torch
from torch import nn

from .layers import compress_of, layer_at, subspaces_of


@torch.no_grad()
def output_agreement(model: nn.Module, layer: int) -> dict[str, float]:
    """The output matrix W = [W_1, ..., W_K] of MSSA beside [U_1, ..., U_K], biases left out.

    Args:
        model: A CRATE model with MSSA.
        layer: Index, from 0 or negative from the end.

    Returns:
        ``tied``, the share of W's squared norm that c [U_1, ..., U_K] explains with the best factor
        c, with the sign of c; ``tied_by_head``, the share with a factor for each head;
        ``own_subspaces``, the share of all W_k that lies in the span of its own U_k, and
        ``own_subspaces_random``, P / D, what a random matrix has there. Empty where there is no
        such matrix: the output is tied by configuration, or none at all.

    Raises:
        UserError: No such layer, no subspaces, or a folded model.
    """
    found = layer_at(model, layer)
    bases = subspaces_of(found).bases().double()  # (K, D, P)
    weight = getattr(compress_of(found).mssa.output, "weight", None)
    if weight is None:
        return {}
    heads, width, head_dim = bases.shape
    blocks = weight.double().unflatten(1, (heads, head_dim)).transpose(0, 1)  # (K, D, P)
    energy = blocks.square().sum()
    products = (blocks * bases).sum((1, 2))  # (K,)
    sizes = bases.square().sum((1, 2))
    together = products.sum()
    inside = torch.linalg.qr(bases).Q.mT @ blocks
    return {
        "tied": (together * together.abs() / (sizes.sum() * energy)).item(),
        "tied_by_head": ((products.square() / sizes).sum() / energy).item(),
        "own_subspaces": (inside.square().sum() / energy).item(),
        "own_subspaces_random": min(1.0, head_dim / width),
    }
