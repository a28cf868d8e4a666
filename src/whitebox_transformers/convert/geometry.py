"""Image and patch size, which a state dict does not name.

A shape that leaves one possibility decides; the file's own metadata decides where it agrees with
the shapes; otherwise the user must say. Nothing is guessed.
"""

from __future__ import annotations

import math
from typing import Any

from whitebox_transformers.convert.choices import Choices, Size, whole_number
from whitebox_transformers.convert.reading import Checkpoint
from whitebox_transformers.convert.report import Decision
from whitebox_transformers.errors import UserError

IMAGE_FIELDS = ("image_size", "img_size")
CHANNEL_FIELDS = ("channels", "in_chans", "num_channels")


def decide_image(checkpoint: Checkpoint, choices: Choices, positions: int, patch: Size) -> Decision:
    """Image size of a table of ``positions`` patches of known size.

    Raises:
        UserError: The table is not square and nothing else decides, or the flag does not fit.
    """
    path, said = checkpoint.path, choices.image_size
    if said is not None:
        if _patches(said, patch) != positions:
            raise UserError(
                f"--image-size {_spell(said)} does not fit {path}: its position table has "
                f"{positions} patches of {_spell(patch, 'x')} (another patch: --patch-size)"
            )
        return Decision("image_size", said, "flag")
    if named := _image_in_metadata(checkpoint.metadata, patch, positions):
        return named
    side = math.isqrt(positions)
    if side * side == positions:
        size = (side * patch[0], side * patch[1])
        return Decision("image_size", size, f"shapes: {side} x {side} positions")
    sizes = ", ".join(_spell((r * patch[0], c * patch[1])) for r, c in _grids(positions))
    raise UserError(
        f"{path} has {positions} positions, which is no square: give --image-size; "
        f"{sizes} would fit"
    )


def decide_patch(
    checkpoint: Checkpoint, choices: Choices, positions: int, patch_dim: int
) -> list[Decision]:
    """Patch size and channels of an embedding that reads flattened patches of ``patch_dim``.

    A square patch of the channels that metadata names, else of one or three, decides; any other
    needs the patch or image size.

    Raises:
        UserError: Nothing decides, or what the user says does not fit.
    """
    path = checkpoint.path
    given = choices.patch_size or _size(checkpoint.metadata.get("patch_size"))
    if given is not None:
        area = math.prod(given)
        if area and patch_dim % area == 0:
            origin = "flag" if choices.patch_size else "metadata"
            return _patch(given, patch_dim // area, origin)
        if choices.patch_size:
            raise UserError(
                f"--patch-size {_spell(given)} does not fit {path}: "
                f"{patch_dim} values per patch are no multiple of {area}"
            )
    named = [whole_number(checkpoint.metadata.get(field)) for field in CHANNEL_FIELDS]
    for channels in (*filter(None, named), 1, 3):
        side = math.isqrt(patch_dim // channels)
        if side * side * channels == patch_dim:
            origin = "metadata and shapes" if channels in named else "shapes"
            product = f"{patch_dim} = {side} * {side} * {channels}"
            return _patch((side, side), channels, f"{origin}: {product}")
    if choices.image_size is None:
        raise UserError(
            f"{path} reads {patch_dim} values per patch, which is neither a square nor three: "
            f"give --patch-size, or --image-size"
        )
    height, width = choices.image_size
    fitting = {
        (height // rows, width // columns)
        for rows, columns in _grids(positions)
        if height % rows == 0 and width % columns == 0
    }
    fitting = {patch for patch in fitting if patch_dim % math.prod(patch) == 0}
    square = {patch for patch in fitting if patch[0] == patch[1]}
    if len(fitting) != 1 and len(square) != 1:
        found = " or ".join(_spell(patch, "x") for patch in sorted(fitting)) or "none"
        raise UserError(
            f"--image-size {_spell(choices.image_size)} does not decide the patches of {path} "
            f"({positions} of {patch_dim} values): {found}; give --patch-size"
        )
    patch = (square or fitting).pop()
    return _patch(patch, patch_dim // math.prod(patch), "image size and shapes")


def _grids(positions: int) -> list[Size]:
    """Every way to lay patches out in rows and columns."""
    return [(r, positions // r) for r in range(1, positions + 1) if positions % r == 0]


def _patch(patch: Size, channels: int, origin: str) -> list[Decision]:
    return [Decision("patch_size", patch, origin), Decision("num_channels", channels, origin)]


def _image_in_metadata(metadata: dict[str, Any], patch: Size, positions: int) -> Decision | None:
    """The image size a training script recorded, where it agrees with the position table."""
    for field in IMAGE_FIELDS:
        size = _size(metadata.get(field))
        if size is not None and _patches(size, patch) == positions:
            return Decision("image_size", size, f"metadata: {field}")
    return None


def _patches(image: Size, patch: Size) -> int | None:
    if any(i < 1 or i % p for i, p in zip(image, patch, strict=True)):
        return None
    return image[0] // patch[0] * (image[1] // patch[1])


def _size(value: Any) -> Size | None:
    """One whole number or a pair of them, positive, as height and width."""
    if not isinstance(value, list | tuple):
        value = (value, value)
    numbers = tuple(whole_number(item) for item in value)
    if len(numbers) == 2 and numbers[0] and numbers[1]:
        return numbers[0], numbers[1]
    return None


def _spell(size: Size, sign: str = " ") -> str:
    return f"{size[0]}{sign}{size[1]}"
