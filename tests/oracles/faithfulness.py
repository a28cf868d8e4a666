"""What the two steps of every layer did to one sample, spelled out in float64 from the formulas.

Tokens are rows of the records and become columns where the paper has columns.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from tests.oracles import rates
from torch import Tensor

WEIGHT = 0.1


def sample_steps(model, sample: Tensor, causal: bool = False) -> dict[str, list[float]]:
    """Every measure of one image (1, channels, height, width) or text (1, N); one for each layer.

    Layers are the published ones: raw skip, learned output, ISTA with relu.
    """
    with torch.no_grad():
        out = model.double().eval()(sample, output_z=True, output_z_half=True)
    found: dict[str, list[float]] = {}
    layers = model.base_model.stack.layers
    for layer, z, z_half, z_next in zip(layers, out.z, out.z_half, out.z[1:], strict=False):
        places = {"z": z[0], "z-half": z_half[0], "z-next": z_next[0]}
        for key, value in (_rates(layer, places) | _directions(layer, places, causal)).items():
            found.setdefault(key, []).append(float(value))
    return found


def _rates(layer, places: dict[str, Tensor]) -> dict[str, Tensor]:
    bases = [head.T for head in layer.compress.mssa.subspaces.weight.detach().split(_dim(layer))]
    values = {
        "rate-published": {p: _published(layer, z) for p, z in places.items()},
        "rate-definition": {p: rates.compression_rate(z.T, bases, 0.1) for p, z in places.items()},
        "expansion-raw": {p: rates.coding_rate(z.T, 0.1) for p, z in places.items()},
        "expansion-unit": {
            p: rates.coding_rate((z / z.norm(dim=1, keepdim=True)).nan_to_num().T, 0.1)
            for p, z in places.items()
        },
    }
    found = {f"{key}-z": values[key]["z"] for key in ("rate-published", "rate-definition")}
    found["norm-z"] = places["z"].norm(dim=1).mean()
    found["nonzero-share"] = (places["z-next"] != 0).double().mean()
    for key, at in values.items():
        found[f"compress-{key}"] = at["z-half"] - at["z"]
        found[f"sparsify-{key}"] = at["z-next"] - at["z-half"]
    for convention, expansion in (("published", "expansion-unit"), ("definition", "expansion-raw")):
        for place, z in places.items():
            difference = values[expansion][place] - values[f"rate-{convention}"][place]
            found[f"objective-{convention}-{place}"] = difference - WEIGHT * (z != 0).sum().double()
    return found


def _directions(layer, places: dict[str, Tensor], causal: bool) -> dict[str, Tensor]:
    z, mssa = places["z"], layer.compress.mssa
    moved = places["z-half"] - z
    weight = mssa.subspaces.weight.detach()
    bases = [head.T for head in weight.split(_dim(layer))]
    variable = z.clone().requires_grad_()
    _published(layer, variable).backward()
    averages = torch.cat(
        [_average(head, causal) for head in _heads(layer, _normed(layer.compress.norm, z))], 1
    )
    step = averages @ mssa.output.weight.detach().T
    if mssa.output.bias is not None:
        step = step + mssa.output.bias.detach()
    ista = layer.sparsify.ista
    v = _normed(layer.sparsify.norm, places["z-half"])
    return {
        "compress-descent-published": _cosine(moved, -variable.grad),
        "compress-descent-definition": _cosine(
            moved, -rates.compression_rate_gradient(z.T, bases, 0.1).T
        ),
        "compress-tied": _cosine(step, averages @ weight),
        "sparsify-lasso-start": _lasso(v, v.clamp(min=0), ista),
        "sparsify-lasso-end": _lasso(v, places["z-next"], ista),
    }


def _lasso(v: Tensor, codes: Tensor, ista) -> Tensor:
    """Mean over tokens of lambda |a|_1 + 1/2 |v - D a|^2."""
    dictionary = ista.dictionary.detach()
    total = torch.zeros((), dtype=v.dtype)
    for token, a in zip(v, codes, strict=True):
        total += ista.threshold * a.abs().sum() + 0.5 * (token - dictionary @ a).norm() ** 2
    return total / len(v)


def _published(layer, z: Tensor) -> Tensor:
    heads = _heads(layer, _normed(layer.compress.norm, z))
    return rates.published_compression_rate(heads, 0.01)


def _normed(norm, z: Tensor) -> Tensor:
    return F.layer_norm(z, z.shape[-1:], norm.weight.detach(), norm.bias.detach(), norm.eps)


def _heads(layer, tokens: Tensor) -> list[Tensor]:
    return list((tokens @ layer.compress.mssa.subspaces.weight.detach().T).split(_dim(layer), 1))


def _average(head: Tensor, causal: bool) -> Tensor:
    scores = head @ head.T / head.shape[1] ** 0.5
    if causal:
        scores = scores.masked_fill(torch.ones_like(scores).triu(1).bool(), -torch.inf)
    return scores.softmax(1) @ head


def _dim(layer) -> int:
    return layer.compress.mssa.subspaces.head_dim


def _cosine(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum() / (a.norm() * b.norm())
