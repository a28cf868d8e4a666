"""Layer-wise measures spelled out for one sample at a time, from a model's weights and records."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from tests.oracles import rates
from torch import Tensor


def sample_measures(model, sample: Tensor) -> dict[str, list[float]]:
    """Every measure of one image (1, channels, height, width) or text (1, N), in float64.

    By name, one number per layer.
    """
    with torch.no_grad():
        out = model.eval()(sample, output_z=True, output_z_half=True)
    layers = model.base_model.stack.layers
    z = [tokens[0].double() for tokens in out.z]
    z_half = [tokens[0].double() for tokens in out.z_half]
    found: dict[str, list[float]] = {
        "rate-raw": [rates.coding_rate(tokens.T, 0.1).item() for tokens in z],
        "rate-unit": [
            rates.coding_rate((tokens / tokens.norm(dim=1, keepdim=True)).T, 0.1).item()
            for tokens in z
        ],
        "norm-z": [tokens.norm(dim=1).mean().item() for tokens in z],
        "norm-z-half": [tokens.norm(dim=1).mean().item() for tokens in z_half],
        "nonzero-share": [(tokens != 0).double().mean().item() for tokens in z[1:]],
    }
    for place, states in (("z", z[:-1]), ("z-half", z_half)):
        for convention, rate in (("published", _published), ("definition", _definition)):
            found[f"rate-{convention}-{place}"] = [
                rate(layer, tokens) for layer, tokens in zip(layers, states, strict=True)
            ]
    return found


def _heads(layer, tokens: Tensor) -> list[Tensor]:
    subspaces = layer.compress.mssa.subspaces
    projected = tokens @ subspaces.weight.detach().double().T
    return list(projected.split(subspaces.head_dim, dim=1))


def _published(layer, tokens: Tensor) -> float:
    norm = layer.compress.norm
    scale, shift = norm.weight.detach().double(), norm.bias.detach().double()
    normed = F.layer_norm(tokens, tokens.shape[-1:], scale, shift, norm.eps)
    if layer.compress.window is not None:
        normed = _widened(layer.compress.window, normed)
    return rates.published_compression_rate(_heads(layer, normed), 0.01).item()


def _widened(window, tokens: Tensor) -> Tensor:
    """Every token and a weighted few of its neighbours, as far as the text reaches."""
    widened = tokens.clone()
    for place in range(len(tokens)):
        for tap, weight in enumerate(window.weight.detach().double()):
            neighbour = place + tap - window.back
            if 0 <= neighbour < len(tokens):
                widened[place] += weight * tokens[neighbour]
    return widened


def _definition(layer, tokens: Tensor) -> float:
    return sum(rates.coding_rate(head.T, 0.1).item() for head in _heads(layer, tokens))
