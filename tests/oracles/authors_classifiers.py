"""The authors' classifiers as plain functions of a state dict in their own layout.

Written from the published formulas and tables of names: explicit softmax attention, three products
in ISTA. Nothing here knows the package.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from tests.oracles.authors_weights import Draw, State, linear, norm
from torch import Tensor


def random_crate(
    *,
    image=(16, 16),
    patch=(4, 4),
    channels=3,
    width=12,
    depth=2,
    inner=12,
    classes=5,
    has_output=True,
    demo_classes=None,
    seed=0,
) -> State:
    """A random supervised CRATE; ``demo_classes`` adds the demo checkpoint's ``head``."""
    draw = Draw(seed)
    positions = image[0] // patch[0] * (image[1] // patch[1])
    pixels = channels * patch[0] * patch[1]
    state = _embedding(draw, positions, width)
    state |= draw.norm("to_patch_embedding.1", pixels)
    state |= draw.linear("to_patch_embedding.2", width, pixels)
    state |= draw.norm("to_patch_embedding.3", width)
    for i in range(depth):
        layer = f"transformer.layers.{i}"
        state |= draw.norm(f"{layer}.0.norm", width)
        state[f"{layer}.0.fn.qkv.weight"] = draw(inner, width)
        if has_output:
            state |= draw.linear(f"{layer}.0.fn.to_out.0", width, inner)
        state |= draw.norm(f"{layer}.1.norm", width)
        state[f"{layer}.1.fn.weight"] = draw(width, width)
    state |= draw.norm("mlp_head.0", width)
    if demo_classes is None:
        return state | draw.linear("mlp_head.1", classes, width)
    state |= draw.linear("mlp_head.1", width, width)
    return state | draw.linear("head", demo_classes, width)


def random_alpha(
    *,
    image=(16, 16),
    patch=(4, 4),
    channels=3,
    width=12,
    depth=2,
    inner=12,
    ratio=4,
    classes=5,
    has_output=True,
    seed=0,
) -> State:
    """A random CRATE-alpha."""
    draw = Draw(seed)
    state = _embedding(draw, image[0] // patch[0] * (image[1] // patch[1]), width)
    state["conv1.weight"] = draw(width, channels, *patch)
    state["conv1.bias"] = draw(width)
    for i in range(depth):
        layer = f"transformer.layers.{i}"
        state |= draw.norm(f"{layer}.0.norm", width)
        state[f"{layer}.0.fn.qkv.weight"] = draw(inner, width)
        if has_output:
            state[f"{layer}.0.fn.to_out.0.weight"] = draw(width, inner)
        state |= draw.norm(f"{layer}.1.norm", width)
        state[f"{layer}.1.fn.D"] = draw(width, ratio * width)
        state[f"{layer}.1.fn.D1"] = draw(width, ratio * width)
    state |= draw.norm("mlp_head.0", width)
    return state | draw.linear("mlp_head.1", classes, width)


def crate_logits(
    state: State, images: Tensor, *, heads, patch=(4, 4), eta=0.1, lam=0.1, pool="cls"
) -> Tensor:
    """The supervised classifier: images (B, C, H, W) to the output of ``mlp_head``."""
    z = norm(state, "to_patch_embedding.1", channel_fastest_patches(images, patch))
    z = norm(state, "to_patch_embedding.3", linear(state, "to_patch_embedding.2", z))
    z = _with_positions(state, z)
    for i in range(_depth(state)):
        layer = f"transformer.layers.{i}"
        z = z + _mssa(state, f"{layer}.0.fn", norm(state, f"{layer}.0.norm", z), heads)
        v = norm(state, f"{layer}.1.norm", z)
        dictionary = state[f"{layer}.1.fn.weight"]
        reconstruction = v @ dictionary.T
        gradient = reconstruction @ dictionary - v @ dictionary
        z = (v - eta * gradient - eta * lam).relu()
    feature = z[:, 0] if pool == "cls" else z.mean(dim=1)
    return linear(state, "mlp_head.1", norm(state, "mlp_head.0", feature))


def alpha_logits(state: State, images: Tensor, *, heads, eta=0.1, lam=0.1) -> Tensor:
    """CRATE-alpha: images (B, C, H, W) to the output of ``mlp_head``."""
    kernel = state["conv1.weight"]
    z = F.conv2d(images, kernel, state["conv1.bias"], stride=kernel.shape[2:])
    z = _with_positions(state, z.flatten(2).mT)
    for i in range(_depth(state)):
        layer = f"transformer.layers.{i}"
        z = z + _mssa(state, f"{layer}.0.fn", norm(state, f"{layer}.0.norm", z, 1e-6), heads)
        v = norm(state, f"{layer}.1.norm", z, 1e-6)
        analysis, synthesis = state[f"{layer}.1.fn.D"], state[f"{layer}.1.fn.D1"]
        first = (eta * (v @ analysis) - eta * lam).relu()
        second = (first - eta * ((first @ analysis.T - v) @ analysis) - eta * lam).relu()
        z = z + second @ synthesis.T
    return linear(state, "mlp_head.1", norm(state, "mlp_head.0", z[:, 0]))


def channel_fastest_patches(images: Tensor, patch: tuple[int, int]) -> Tensor:
    """(B, C, H, W) to (B, rows * columns, tall * wide * C), written with loops."""
    tall, wide = patch
    rows, columns = images.shape[2] // tall, images.shape[3] // wide
    tokens = []
    for row in range(rows):
        for column in range(columns):
            block = images[:, :, row * tall : (row + 1) * tall, column * wide : (column + 1) * wide]
            tokens.append(block.permute(0, 2, 3, 1).flatten(1))
    return torch.stack(tokens, dim=1)


def _mssa(state: State, name: str, y: Tensor, heads: int) -> Tensor:
    projections = (y @ state[f"{name}.qkv.weight"].T).chunk(heads, dim=-1)
    averages = []
    for w in projections:
        scores = w @ w.mT / math.sqrt(w.shape[-1])
        averages.append(scores.softmax(-1) @ w)
    step = torch.cat(averages, dim=-1)
    return linear(state, f"{name}.to_out.0", step) if f"{name}.to_out.0.weight" in state else step


def _with_positions(state: State, z: Tensor) -> Tensor:
    token = state["cls_token"].expand(len(z), -1, -1)
    return torch.cat([token, z], dim=1) + state["pos_embedding"]


def _depth(state: State) -> int:
    return sum(key.endswith(".0.fn.qkv.weight") for key in state)


def _embedding(draw: Draw, positions: int, width: int) -> State:
    return {
        "pos_embedding": torch.randn(1, positions + 1, width, generator=draw.generator),
        "cls_token": torch.randn(1, 1, width, generator=draw.generator),
    }
