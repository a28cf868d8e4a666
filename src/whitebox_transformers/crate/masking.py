"""Which patches of an image a masked autoencoder hides.

Legend: B batch, N patches, M patches that stay visible.
"""

from typing import NamedTuple

import torch


class Masking(NamedTuple):
    """One draw for every image."""

    mask: torch.Tensor
    """(B, N) float32: 1 where a patch is hidden, 0 where it is visible."""
    ids_keep: torch.Tensor
    """(B, M): numbers of the visible patches, in the order of their noise."""
    ids_restore: torch.Tensor
    """(B, N): where patch n is among the visible ones followed by the hidden ones."""


def visible_patches(count: int, mask_ratio: float) -> int:
    """How many of ``count`` patches stay visible: ``count * (1 - mask_ratio)``, rounded down.

    In floating point as MAE, the authors and ViTMAE compute it, so that all hide the same: of 25
    patches with ratio 0.8 that is 4, since 25 * (1 - 0.8) is a hair below 5.

    Raises:
        ValueError: None would be visible or none hidden.
    """
    visible = int(count * (1 - mask_ratio))
    if not 0 < visible < count:
        raise ValueError(
            f"mask_ratio={mask_ratio} leaves {visible} of {count} patches visible; at least one "
            f"must be visible and one hidden: change mask_ratio, or take smaller patches."
        )
    return visible


def masking(noise: torch.Tensor, mask_ratio: float) -> Masking:
    """Keep the patches with the least noise, as in MAE (arXiv 2111.06377).

    Args:
        noise: Uniform draws, (B, N).
        mask_ratio: Share of the patches to hide, in (0, 1).

    Raises:
        ValueError: As :func:`visible_patches`.
    """
    visible = visible_patches(noise.shape[1], mask_ratio)
    ids_shuffle = noise.argsort(dim=1)
    ids_restore = ids_shuffle.argsort(dim=1)
    mask = (ids_restore >= visible).to(torch.float32)
    return Masking(mask, ids_shuffle[:, :visible], ids_restore)


def check_noise(noise: torch.Tensor, batch: int, patches: int) -> None:
    """Refuse noise that is not for these images.

    Raises:
        ValueError: It is not (B, N).
    """
    if tuple(noise.shape) != (batch, patches):
        raise ValueError(
            f"noise has shape {tuple(noise.shape)}; expected one number for each of the {patches} "
            f"patches of {batch} images: ({batch}, {patches})."
        )


def visible_tokens(tokens: torch.Tensor, ids_keep: torch.Tensor) -> torch.Tensor:
    """The tokens (B, M, D) of the visible patches among those of all patches (B, N, D)."""
    return tokens.gather(1, ids_keep.unsqueeze(-1).expand(-1, -1, tokens.shape[-1]))


def with_hidden_tokens(
    visible: torch.Tensor, mask_token: torch.Tensor, ids_restore: torch.Tensor
) -> torch.Tensor:
    """Visible tokens (B, M, D) back in their places, (B, N, D), ``mask_token`` (1, 1, D) between.

    The inverse of :func:`visible_tokens` at the visible places.
    """
    hidden = ids_restore.shape[1] - visible.shape[1]
    fill = mask_token.to(visible.dtype).expand(len(visible), hidden, -1)
    index = ids_restore.unsqueeze(-1).expand(-1, -1, visible.shape[-1])
    return torch.cat([visible, fill], dim=1).gather(1, index)


__all__ = [
    "Masking",
    "check_noise",
    "masking",
    "visible_patches",
    "visible_tokens",
    "with_hidden_tokens",
]
