"""The number of heads, which a state dict hardly ever shows.

Shapes that leave one possibility decide; the file's own metadata decides where it agrees with the
shapes; otherwise the user must say. Nothing is guessed: a wrong number of heads gives a model that
runs and is wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from whitebox_transformers.convert.choices import whole_number
from whitebox_transformers.convert.reading import Checkpoint
from whitebox_transformers.convert.report import Decision
from whitebox_transformers.crate import MAE_PRESETS, PRESETS
from whitebox_transformers.errors import UserError

# Constructors of the authors' repositories: width, depth, heads.
CONSTRUCTORS = (
    {
        "crate_tiny": (384, 12, 6),
        "crate_small": (576, 12, 12),
        "crate_base": (768, 12, 12),
        "crate_large": (1024, 24, 16),
        "crate_base_demo": (768, 12, 6),
        "crate_small_21k": (384, 12, 6),
        "crate_base_21k": (768, 12, 12),
        "crate_base_768": (768, 12, 12),
    }
    | {
        name.replace("-", "_"): (p["hidden_size"], p["num_hidden_layers"], p["num_attention_heads"])
        for name, p in PRESETS.items()
    }
    | {
        f"mae_crate_{name.rpartition('-')[2]}": (
            p["hidden_size"],
            p["num_hidden_layers"],
            p["num_attention_heads"],
        )
        for name, p in MAE_PRESETS.items()
        if not name.endswith(("-efficient", "-successor"))  # not the authors'
    }
)
MODEL_FIELDS = ("arch", "model")
HEAD_FIELDS = ("heads", "num_heads", "n_head", "n_heads", "num_attention_heads")


class Shapes(NamedTuple):
    """What shapes say about heads.

    Attributes:
        width: Width of a token.
        depth: Number of layers.
        inner: Rows of the subspace projection, heads times head width.
        fitting: The numbers of heads that are possible.
    """

    width: int
    depth: int
    inner: int
    fitting: Sequence[int]


def divisors(number: int) -> list[int]:
    """All divisors, ascending."""
    return [k for k in range(1, number + 1) if number % k == 0]


def decide_heads(
    checkpoint: Checkpoint,
    flag: int | None,
    shapes: Shapes,
    part: str = "",
    default: Decision | None = None,
) -> Decision:
    """Number of heads.

    Args:
        checkpoint: The file.
        flag: What the user says.
        shapes: What the shapes say.
        part: In front of the names of flag, decision and metadata, e.g. ``decoder_``.
        default: Taken, where it fits, if nothing else decides.

    Raises:
        UserError: Nothing decides, or the flag does not fit.
    """
    fitting, name = shapes.fitting, f"{part}heads"
    spelt = f"--{name.replace('_', '-')}"
    allowed = f"{shapes.inner} rows of projections allow {', '.join(map(str, fitting)) or 'none'}"
    named = _heads_in_metadata(checkpoint.metadata, shapes, part)
    if flag is not None:
        if flag not in fitting:
            raise UserError(f"{spelt} {flag} does not fit {checkpoint.path}: {allowed}")
        over = f", over {named[1]} of the file" if named and named[0] != flag else ""
        return Decision(name, flag, f"flag{over}")
    if len(fitting) == 1:
        return Decision(name, fitting[0], "shapes")
    if named and named[0] in fitting:
        return Decision(name, named[0], f"metadata: {named[1]}")
    if default is not None and default.value in fitting:
        return Decision(name, default.value, default.origin)
    arch = checkpoint.metadata.get("arch")
    remark = f" (its arch {arch!r} has other shapes)" if isinstance(arch, str) else ""
    raise UserError(
        f"{checkpoint.path} does not say how many {name} it has{remark}: give {spelt}; {allowed}"
    )


def _heads_in_metadata(
    metadata: dict[str, Any], shapes: Shapes, part: str
) -> tuple[int, str] | None:
    for field in (part + field for field in HEAD_FIELDS):
        heads = whole_number(metadata.get(field))
        if heads is not None:
            return heads, f"{field} = {heads}"
    head_dim = whole_number(metadata.get("dim_head"))
    if head_dim and shapes.inner % head_dim == 0:
        return shapes.inner // head_dim, f"dim_head = {head_dim}"
    for field in MODEL_FIELDS:
        name = metadata.get(field)
        known = isinstance(name, str) and CONSTRUCTORS.get(name.lower().replace("-", "_"))
        if known and known[:2] == (shapes.width, shapes.depth) and shapes.inner == shapes.width:
            return known[2], f"{field} = {name}"
    return None
