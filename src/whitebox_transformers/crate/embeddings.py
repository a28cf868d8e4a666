"""f^pre for images: patches, class token, positions.

Legend: B batch, C channels, H x W pixels, N = 1 + patches, D width.
"""

import torch
import torch.nn.functional as F
from torch import nn
from transformers import initialization as init

from .configuration_crate import CrateConfig, nearest_multiple
from .patches import patchify
from .products import Linear


class PatchEmbeddings(nn.Module):
    """Pixels (B, C, H, W) to patch tokens (B, rows * columns, D), row by row.

    ``norm_linear`` is the authors' embedding: within a patch the channel runs fastest, then
    LayerNorm, Linear, LayerNorm. ``linear`` leaves the norms out, ``conv`` is one strided
    convolution.

    Raises:
        ValueError: No tensor of images, a wrong number of channels, or an image that is not a
            multiple of the patch.
    """

    def __init__(self, config: CrateConfig):
        super().__init__()
        patch = config.patch_size
        tall, wide = (patch, patch) if isinstance(patch, int) else patch
        self.patch_size = (tall, wide)
        self.num_channels = config.num_channels
        self.norm_in = self.norm_out = nn.Identity()
        width = config.hidden_size
        if config.patch_embedding == "conv":
            self.projection = nn.Conv2d(
                self.num_channels, width, kernel_size=self.patch_size, stride=self.patch_size
            )
            return
        pixels = self.num_channels * tall * wide
        self.projection = Linear(pixels, width)
        if config.patch_embedding == "norm_linear":
            self.norm_in = nn.LayerNorm(pixels, eps=config.layer_norm_eps)
            self.norm_out = nn.LayerNorm(width, eps=config.layer_norm_eps)

    def grid(self, pixel_values: torch.Tensor) -> tuple[int, int]:
        """Rows and columns of patches of these images, checked."""
        shape = tuple(pixel_values.shape) if isinstance(pixel_values, torch.Tensor) else None
        if shape is None or len(shape) != 4 or shape[1] != self.num_channels or 0 in shape:
            found = type(pixel_values).__name__ if shape is None else f"shape {shape}"
            raise ValueError(
                f"pixel_values: found {found}; expected a tensor of shape (batch, "
                f"{self.num_channels}, height, width), at least one image. Prepare images with "
                f"the model's image processor."
            )
        (height, width), (tall, wide) = shape[2:], self.patch_size
        if height % tall or width % wide:
            raise ValueError(
                f"image of {height}x{width} pixels is not a multiple of the patch {tall}x{wide}; "
                f"resize it, e.g. to {nearest_multiple(height, tall)}x"
                f"{nearest_multiple(width, wide)}."
            )
        return height // tall, width // wide

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        self.grid(pixel_values)
        if isinstance(self.projection, nn.Conv2d):
            return self.projection(pixel_values).flatten(2).transpose(1, 2)
        patches = patchify(pixel_values, self.patch_size)
        return self.norm_out(self.projection(self.norm_in(patches)))


def sine_positions(rows: int, columns: int, width: int) -> torch.Tensor:
    """Fixed positions of a grid of patches, (1, 1 + rows * columns, D) float32.

    The first half of a row encodes the patch's column, the second its row; each half holds the
    sines, then the cosines, of the number times 10000^(-4i/D), i = 0 .. D/4 - 1. The class token
    has zeros. As in the authors' code and MAE's (arXiv 2111.06377).
    """
    frequencies = 10000.0 ** (-4 * torch.arange(width // 4, dtype=torch.float64) / width)
    row, column = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    angles = [place.flatten()[:, None] * frequencies for place in (column, row)]
    waves = [wave for angle in angles for wave in (angle.sin(), angle.cos())]
    table = torch.cat(waves, dim=1)
    return torch.cat([torch.zeros(1, width, dtype=table.dtype), table])[None].float()


class CrateEmbeddings(nn.Module):
    """Images (B, C, H, W) to Z^0, (B, N, D): class token first, positions added.

    An image with as many patches as the position table uses the table unchanged; any other size
    interpolates it (bicubic, on the patch grid, in float32). Fixed positions are stored too, so
    that a checkpoint says them.
    """

    position_embeddings: torch.Tensor

    def __init__(self, config: CrateConfig):
        super().__init__()
        self.grid_size = config.grid_size
        patches = self.grid_size[0] * self.grid_size[1]
        self.patch_embeddings = PatchEmbeddings(config)
        self.cls_token = nn.Parameter(torch.empty(1, 1, config.hidden_size))
        self.learned_positions = config.position_embedding_type == "learned"
        table = torch.empty(1, patches + 1, config.hidden_size)
        if self.learned_positions:
            self.position_embeddings = nn.Parameter(table)
        else:
            # No parameter without gradient: loading would make it one with.
            self.register_buffer("position_embeddings", table)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.init_std = config.position_init_std
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw class token and positions from a normal of the configured deviation.

        Fixed positions are computed.
        """
        init.normal_(self.cls_token, std=self.init_std)
        if self.learned_positions:
            init.normal_(self.position_embeddings, std=self.init_std)
        else:
            width = self.cls_token.shape[-1]
            init.copy_(self.position_embeddings, sine_positions(*self.grid_size, width))

    def positions(self, rows: int, columns: int) -> torch.Tensor:
        """Position table for a grid of patches, (1, 1 + rows * columns, D)."""
        table = self.position_embeddings
        if rows * columns == table.shape[1] - 1:
            return table
        cls_position, patch_positions = table[:, :1], table[:, 1:]
        image = patch_positions.unflatten(1, self.grid_size).permute(0, 3, 1, 2)
        wide = torch.promote_types(image.dtype, torch.float32)
        resized = F.interpolate(
            image.to(wide), size=(rows, columns), mode="bicubic", align_corners=False
        )
        patch_positions = resized.to(table.dtype).flatten(2).transpose(1, 2)
        return torch.cat([cls_position, patch_positions], dim=1)

    def with_class_token(self, tokens: torch.Tensor) -> torch.Tensor:
        """Tokens of patches (B, M, D) behind the class token, (B, 1 + M, D)."""
        cls_token = self.cls_token.expand(tokens.shape[0], -1, -1).to(tokens.dtype)
        return torch.cat([cls_token, tokens], dim=1)

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        grid = self.patch_embeddings.grid(pixel_values)
        tokens = self.patch_embeddings(pixel_values.to(self.cls_token.dtype))
        return self.dropout(self.with_class_token(tokens) + self.positions(*grid))


__all__ = ["CrateEmbeddings", "PatchEmbeddings", "sine_positions"]
