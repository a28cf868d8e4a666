"""The authors' CRATE-MAE as plain functions of a state dict in their own layout.

Written from the published formulas and tables of names; loops instead of reshapes, three products
in ISTA. Nothing here knows the package.
"""

from __future__ import annotations

import math

import torch
from tests.oracles.authors_weights import Draw, State, linear, norm
from torch import Tensor


def random_mae(
    *, grid=(4, 4), patch=(4, 4), channels=3, width=12, depth=2, decoder_depth=2, seed=0
) -> State:
    """A random masked autoencoder with everything that the authors' file holds."""
    draw = Draw(seed)
    table = 1 + grid[0] * grid[1]
    pixels = channels * patch[0] * patch[1]
    state = {name: draw(1, 1, width) for name in ("cls_token", "mask_token")}
    state |= {name: draw(1, table, width) for name in ("pos_embed", "decoder_pos_embed")}
    state["patch_embed.proj.weight"] = draw(width, channels, *patch)
    state["patch_embed.proj.bias"] = draw(width, 1)[:, 0]
    for prefix, count, attention in (("blocks", depth, 0), ("decoder_blocks", decoder_depth, 1)):
        for i in range(count):
            layer = f"{prefix}.{i}.layers.0"
            state |= draw.norm(f"{layer}.0.norm", width) | draw.norm(f"{layer}.1.norm", width)
            state[f"{layer}.{attention}.fn.qkv.weight"] = draw(width, width)
            state |= draw.linear(f"{layer}.{attention}.fn.to_out.0", width, width)
            state[f"{layer}.{1 - attention}.fn.weight"] = draw(width, width)
    state |= draw.norm("norm", width) | draw.norm("decoder_norm", width)
    state |= draw.linear("decoder_embed", width, width)
    return state | draw.linear("decoder_pred", pixels, width)


def encode(
    state: State, images: Tensor, hidden: Tensor | None, *, heads, eta=0.1, lam=0.5, sees="all"
) -> Tensor:
    """The encoder through its LayerNorm.

    ``hidden`` (B, N) says which patches are replaced by the mask token, or with ``sees`` "visible"
    are left out (row by row, the visible ones in the order of their numbers).
    """
    tokens = embed(state, images)
    positions = state["decoder_pos_embed"][0]
    rows = []
    for sample in range(len(images)):
        row = [state["cls_token"][0, 0] + positions[0]]
        for n, token in enumerate(tokens[sample]):
            gone = hidden is not None and bool(hidden[sample, n])
            if gone and sees == "visible":
                continue
            row.append((state["mask_token"][0, 0] if gone else token) + positions[n + 1])
        rows.append(torch.stack(row))
    z = torch.stack(rows)
    for i in range(_depth(state, "blocks.")):
        layer = f"blocks.{i}.layers.0"
        z = z + mssa(state, f"{layer}.0.fn", norm(state, f"{layer}.0.norm", z), heads)
        v = norm(state, f"{layer}.1.norm", z)
        dictionary = state[f"{layer}.1.fn.weight"]
        gradient = (v @ dictionary.T) @ dictionary - v @ dictionary
        z = (v - eta * gradient - eta * lam).relu()
    return norm(state, "norm", z, 1e-6)


def decode(state: State, z: Tensor, *, heads) -> Tensor:
    """The decoder: tokens (B, 1 + N, D) to predicted patches (B, N, P)."""
    for i in range(_depth(state, "decoder_blocks.")):
        layer = f"decoder_blocks.{i}.layers.0"
        y = norm(state, f"{layer}.0.norm", z) @ state[f"{layer}.0.fn.weight"].T
        z = y - mssa(state, f"{layer}.1.fn", norm(state, f"{layer}.1.norm", y), heads)
    return linear(state, "decoder_pred", norm(state, "decoder_norm", z, 1e-6))[:, 1:]


def refill(state: State, z: Tensor, hidden: Tensor) -> Tensor:
    """Visible tokens and the mask token in their places, positions added, as in MAE's decoder."""
    positions = state["decoder_pos_embed"][0]
    rows = []
    for sample, row in enumerate(z):
        waiting = iter(row[1:])
        full = [row[0]]
        full += [state["mask_token"][0, 0] if gone else next(waiting) for gone in hidden[sample]]
        rows.append(torch.stack(full) + positions)
    return torch.stack(rows)


def loss(images: Tensor, predicted: Tensor, hidden: Tensor, patch, normalise: bool) -> Tensor:
    """Squared error over hidden patches, patch by patch."""
    errors = []
    for sample in range(len(images)):
        for n, target in enumerate(patches(images[sample], patch)):
            if not hidden[sample, n]:
                continue
            if normalise:
                target = (target - target.mean()) / (target.var() + 1e-6).sqrt()
            errors.append((predicted[sample, n] - target).square().mean())
    return torch.stack(errors).mean()


def hide(noise: Tensor, ratio: float) -> Tensor:
    """(B, N) bool: all but the patches with the least noise, counted as the authors count."""
    kept = int(noise.shape[1] * (1 - ratio))
    hidden = torch.ones_like(noise, dtype=torch.bool)
    for sample, row in enumerate(noise):
        hidden[sample, row.argsort()[:kept]] = False
    return hidden


def patches(image: Tensor, patch) -> list[Tensor]:
    """The patches of (C, H, W), row by row, channels fastest."""
    tall, wide = patch
    return [
        image[:, row : row + tall, column : column + wide].permute(1, 2, 0).flatten()
        for row in range(0, image.shape[1], tall)
        for column in range(0, image.shape[2], wide)
    ]


def embed(state: State, images: Tensor) -> Tensor:
    """Patch tokens (B, N, D): the strided convolution as a product with each patch."""
    kernel = state["patch_embed.proj.weight"]
    flat = kernel.permute(0, 2, 3, 1).flatten(1)
    cut = [torch.stack(patches(image, kernel.shape[2:])) for image in images]
    return torch.stack(cut) @ flat.T + state["patch_embed.proj.bias"]


def mssa(state: State, name: str, y: Tensor, heads: int) -> Tensor:
    averages = []
    for w in (y @ state[f"{name}.qkv.weight"].T).chunk(heads, dim=-1):
        averages.append((w @ w.mT / math.sqrt(w.shape[-1])).softmax(-1) @ w)
    return linear(state, f"{name}.to_out.0", torch.cat(averages, dim=-1))


def sine_table(rows: int, columns: int, width: int) -> Tensor:
    """(1 + rows * columns, width): column waves, then row waves; zeros for the class token."""
    table = torch.zeros(1 + rows * columns, width, dtype=torch.float64)
    quarter = width // 4
    for row in range(rows):
        for column in range(columns):
            for place, number in enumerate((column, row)):
                for i in range(quarter):
                    angle = number / 10000 ** (i / quarter)
                    start = 2 * place * quarter + i
                    table[1 + row * columns + column, start] = math.sin(angle)
                    table[1 + row * columns + column, start + quarter] = math.cos(angle)
    return table


def _depth(state: State, prefix: str) -> int:
    return sum(key.startswith(prefix) and key.endswith(".fn.qkv.weight") for key in state)
