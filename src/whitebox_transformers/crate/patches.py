"""Images as rows of patches and back, and what a masked autoencoder reconstructs of them.

Legend: B batch, C channels, H x W pixels, N patches, P = pixels of a patch times C.
"""

import torch

Size = tuple[int, int]


def patchify(pixel_values: torch.Tensor, patch_size: Size) -> torch.Tensor:
    """Images (B, C, H, W) to patches (B, N, P), row by row; within a patch channels run fastest.

    H and W are multiples of the patch.
    """
    tall, wide = patch_size
    patches = pixel_values.unflatten(2, (-1, tall)).unflatten(4, (-1, wide))
    return patches.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2)


def unpatchify(patches: torch.Tensor, patch_size: Size, grid: Size) -> torch.Tensor:
    """Patches (B, N, P) of a grid of rows and columns to images (B, C, H, W)."""
    cells = patches.unflatten(1, grid).unflatten(3, (*patch_size, -1))
    return cells.permute(0, 5, 1, 3, 2, 4).flatten(4).flatten(2, 3)


def normalised(patches: torch.Tensor) -> torch.Tensor:
    """Every patch with mean 0 and variance 1, (..., P); a patch of one colour becomes zeros.

    The variance is the unbiased one, raised by 1e-6, as in MAE (arXiv 2111.06377).
    """
    centred = patches - patches.mean(dim=-1, keepdim=True)
    return centred / (patches.var(dim=-1, keepdim=True) + 1e-6) ** 0.5


def patch_errors(predicted: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean squared error of every patch, (B, N, P) twice to (B, N), float32 or better."""
    wide = torch.promote_types(predicted.dtype, torch.float32)
    return (predicted.to(wide) - target.to(wide)).square().mean(dim=-1)


__all__ = ["normalised", "patch_errors", "patchify", "unpatchify"]
