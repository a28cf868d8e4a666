"""The patch tokens of an image model on their grid, at any resolution.

Legend: B batch, K heads, P head width, D = K P; a grid has so many rows and columns of patches.
"""

from __future__ import annotations

import inspect
from typing import Any, Literal, get_args

import torch
from torch import Tensor
from transformers import PreTrainedModel

from whitebox_transformers.errors import UserError

from .compared import Compared, compare
from .layers import checked_index

Facet = Literal["key", "query", "value", "all"]
"""What of a layer's attention describes a patch; ``all``: the three one after the other."""


def patch_size(model: PreTrainedModel) -> tuple[int, int]:
    """Height and width of the model's patches, in pixels.

    Raises:
        UserError: The model has none.
    """
    patch = getattr(model.config, "patch_size", None)
    if patch is None:
        raise UserError(
            f"{type(model).__name__} does not cut images into patches; expected a CRATE model of "
            "images, or e.g. ViT, DeiT or DINOv2"
        )
    tall, wide = (patch, patch) if isinstance(patch, int) else patch
    return tall, wide


def grid_of(model: PreTrainedModel, pixel_values: Tensor) -> tuple[int, int]:
    """Rows and columns of patches of images (B, C, height, width)."""
    tall, wide = patch_size(model)
    return pixel_values.shape[-2] // tall, pixel_values.shape[-1] // wide


def image_arguments(model: PreTrainedModel, pixel_values: Tensor) -> dict[str, Any]:
    """What to call the model with, so that positions are interpolated where they must be.

    CRATE, DINOv2 and others do so by themselves; ViT and DeiT have to be told.
    """
    arguments: dict[str, Any] = {"pixel_values": pixel_values}
    size = tuple(pixel_values.shape[-2:])
    own = getattr(model.config, "image_size", None)
    own = (own, own) if isinstance(own, int) else tuple(own or ())
    told = "interpolate_pos_encoding" in inspect.signature(model.forward).parameters
    # At its own size a ViT is left alone: it cannot interpolate from a grid that is not square.
    if told and size != own:
        arguments["interpolate_pos_encoding"] = True
    if model.config.model_type == "vit_mae":
        # Its encoder puts patches into the order of this noise; mask_ratio says how many it hides.
        rows, columns = grid_of(model, pixel_values)
        order = torch.arange(rows * columns, dtype=torch.float32)
        arguments["noise"] = order.expand(len(pixel_values), -1)
    return arguments


def on_grid(values: Tensor, grid: tuple[int, int]) -> Tensor:
    """Values of tokens (..., N) as those of patches (..., rows, columns).

    Patches come last, so that a class token and any registers are left out.

    Raises:
        UserError: There are fewer tokens than patches.
    """
    if values.shape[-1] < grid[0] * grid[1]:
        raise UserError(
            f"{values.shape[-1]} tokens attend to each other in a grid of {grid[0]} x {grid[1]} "
            "patches; expected a model in which all patches do, e.g. CRATE, ViT or DINOv2"
        )
    return values[..., -grid[0] * grid[1] :].unflatten(-1, grid)


def patch_features(
    model: PreTrainedModel, pixel_values: Tensor, layer: int = -1, facet: Facet = "key"
) -> Tensor:
    """What a layer's attention compares of every patch, heads one after the other.

    For MSSA every facet is ``[U_1^T z; ...; U_K^T z]`` of the normalised tokens, except that
    ``all`` repeats it three times, which changes no cosine.

    Args:
        model: A CRATE model with attention, or a Hugging Face ViT, DeiT, DINOv2 or the like.
        pixel_values: (B, C, height, width), moved to the model's device; any multiple of the
            patch, positions are interpolated.
        layer: From 0, or negative from the end.
        facet: Key, query, value, or all three one after the other (3 D).

    Returns:
        (B, rows, columns, D), float32 on the CPU.

    Raises:
        UserError: No such layer or facet, no patches, layers without attention, a folded model.
    """
    if facet not in get_args(Facet):
        raise UserError(f"facet {facet!r} is not known; choose from {', '.join(get_args(Facet))}")
    grid, found = grid_of(model, pixel_values), []

    def keep(_: int, given: Compared) -> None:
        chosen = given[:3] if facet == "all" else (getattr(given, facet),)
        # (B, K, N, P) each, to (B, D, N).
        found.extend(part.transpose(2, 3).flatten(1, 2).float().cpu() for part in chosen)

    index = checked_index("layer", layer, model.config.num_hidden_layers)
    compare(model, image_arguments(model, pixel_values), [index], keep)
    return on_grid(torch.cat(found, dim=1), grid).movedim(1, -1).contiguous()
