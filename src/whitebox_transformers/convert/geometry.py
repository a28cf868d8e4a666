"""Settings that a state dict does not name: heads, image and patch size.

A shape that leaves one possibility decides; the file's own metadata decides where it agrees with
the shapes; otherwise the user must say. Nothing is guessed: a wrong number of heads gives a model
that runs and is wrong.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from whitebox_transformers.convert.reading import Checkpoint
from whitebox_transformers.convert.report import Decision
from whitebox_transformers.crate import PRESETS
from whitebox_transformers.errors import UserError

Size = tuple[int, int]

# Constructors of the authors' repositories: width, depth, heads.
CONSTRUCTORS = {
    "crate_tiny": (384, 12, 6),
    "crate_small": (576, 12, 12),
    "crate_base": (768, 12, 12),
    "crate_large": (1024, 24, 16),
    "crate_base_demo": (768, 12, 6),
    "crate_small_21k": (384, 12, 6),
    "crate_base_21k": (768, 12, 12),
    "crate_base_768": (768, 12, 12),
} | {
    name.replace("-", "_"): (p["hidden_size"], p["num_hidden_layers"], p["num_attention_heads"])
    for name, p in PRESETS.items()
}
HEAD_FIELDS = ("heads", "num_heads", "n_head", "n_heads", "num_attention_heads")
IMAGE_FIELDS = ("image_size", "img_size")
CHANNEL_FIELDS = ("channels", "in_chans", "num_channels")


@dataclass(frozen=True)
class Choices:
    """What the user says about a file; ``None`` leaves it to the file or the published default.

    Attributes:
        heads: Number of subspaces.
        image_size: Height and width the position table was made for.
        patch_size: Height and width of a patch.
        step_size: eta of ISTA.
        threshold: lambda of ISTA.
        pool: ``"cls"`` or ``"mean"``.
        apply_head: Let the demo checkpoint's unused ``head`` follow its ``mlp_head``.
    """

    heads: int | None = None
    image_size: Size | None = None
    patch_size: Size | None = None
    step_size: float | None = None
    threshold: float | None = None
    pool: str | None = None
    apply_head: bool = False


def decide_heads(
    checkpoint: Checkpoint, flag: int | None, width: int, depth: int, inner: int, has_output: bool
) -> Decision:
    """Number of heads.

    Args:
        checkpoint: The file.
        flag: What the user says.
        width: Width of a token.
        depth: Number of layers.
        inner: Rows of the subspace projection, heads times head width.
        has_output: Whether MSSA has an output matrix. The authors leave it out exactly for one
            head of the token's width.

    Raises:
        UserError: Nothing decides, or the flag does not fit.
    """
    if not has_output and inner != width:
        raise UserError(
            f"{checkpoint.path}: the layers have no output matrix, which needs projections to the "
            f"token width {width}; they have {inner} rows"
        )
    fitting = [k for k in range(1, inner + 1) if inner % k == 0]
    if not has_output:
        fitting = [1]
    elif inner == width:
        fitting.remove(1)
    listed = ", ".join(map(str, fitting)) or "none"
    if flag is not None:
        if flag not in fitting:
            raise UserError(
                f"--heads {flag} does not fit {checkpoint.path}: {inner} rows of projections "
                f"{'with' if has_output else 'without'} an output matrix allow {listed}"
            )
        return Decision("heads", flag, "flag")
    if len(fitting) == 1:
        return Decision("heads", fitting[0], "shapes")
    named = _heads_in_metadata(checkpoint.metadata, width, depth, inner)
    if named and named[0] in fitting:
        return Decision("heads", named[0], f"metadata: {named[1]}")
    arch = checkpoint.metadata.get("arch")
    remark = f" (its arch {arch!r} has other shapes)" if isinstance(arch, str) else ""
    raise UserError(
        f"{checkpoint.path} does not say how many heads it has{remark}: give --heads; "
        f"{inner} rows of projections allow {listed}"
    )


def _heads_in_metadata(
    metadata: dict[str, Any], width: int, depth: int, inner: int
) -> tuple[int, str] | None:
    for field in HEAD_FIELDS:
        heads = _whole(metadata.get(field))
        if heads is not None:
            return heads, f"{field} = {heads}"
    head_dim = _whole(metadata.get("dim_head"))
    if head_dim and inner % head_dim == 0:
        return inner // head_dim, f"dim_head = {head_dim}"
    arch = metadata.get("arch")
    if isinstance(arch, str):
        known = CONSTRUCTORS.get(arch.lower().replace("-", "_"))
        if known and known[:2] == (width, depth) and inner == width:
            return known[2], f"arch = {arch}"
    return None


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
    named = [_whole(checkpoint.metadata.get(field)) for field in CHANNEL_FIELDS]
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


def decide_constants(metadata: Mapping[str, Any], choices: Choices) -> list[Decision]:
    """Pooling, eta and lambda: numbers that no weight shows.

    Args:
        metadata: What the file says, where the authors' constructor reads it: CRATE's takes
            ``pool`` and ``ista`` as arguments. Lambda is fixed in their code.
        choices: What the user says.

    Raises:
        UserError: A value out of range.
    """
    pool, step = metadata.get("pool"), metadata.get("ista")
    decisions = [
        _choose("pooling", choices.pool, pool if pool in ("cls", "mean") else None, "cls"),
        _choose("step_size", choices.step_size, step if isinstance(step, float) else None, 0.1),
        _choose("threshold", choices.threshold, None, 0.1),
    ]
    pooling, *steps = decisions
    if pooling.value not in ("cls", "mean"):
        raise UserError(f"--pool {pooling.value} is unknown; expected cls or mean")
    for name, value, _ in steps:
        if not (math.isfinite(value) and value >= 0):
            raise UserError(f"{name} is {value}; expected a finite number, not negative")
    return decisions


def _choose(name: str, flag: Any, metadata: Any, default: Any) -> Decision:
    if flag is not None:
        return Decision(name, flag, "flag")
    if metadata is not None:
        return Decision(name, metadata, "metadata")
    return Decision(name, default, "published default")


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
    numbers = tuple(_whole(item) for item in value)
    if len(numbers) == 2 and numbers[0] and numbers[1]:
        return numbers[0], numbers[1]
    return None


def _whole(value: Any) -> int | None:
    """A positive whole number, also as text (safetensors metadata is text)."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value)
    if isinstance(value, int | np.integer) and not isinstance(value, bool) and value > 0:
        return int(value)
    return None


def _spell(size: Size, sign: str = " ") -> str:
    return f"{size[0]}{sign}{size[1]}"
