"""What the user says about a file, and how it meets what the file says.

A flag wins over the file's metadata, metadata over the published default, and whichever it was is
reported.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from whitebox_transformers.convert.report import Decision
from whitebox_transformers.errors import UserError

Size = tuple[int, int]


@dataclass(frozen=True)
class Choices:
    """What the user says; ``None`` leaves it to the file or the published default.

    Attributes:
        heads: Number of subspaces.
        image_size: Height and width the position table was made for.
        patch_size: Height and width of a patch.
        step_size: eta of ISTA.
        threshold: lambda of ISTA.
        pool: ``"cls"`` or ``"mean"``.
        norm_pix_loss: Whether CRATE-MAE learned normalised patches.
        decoder_heads: Number of subspaces in CRATE-MAE's decoder, where it differs.
        apply_head: Let the demo checkpoint's unused ``head`` follow its ``mlp_head``.
        embedding_norm_eps: Epsilon of the LayerNorms that CRATE-BERT configures.
        pad_token_id: The token that positions of CRATE-BERT leave out.
    """

    heads: int | None = None
    image_size: Size | None = None
    patch_size: Size | None = None
    step_size: float | None = None
    threshold: float | None = None
    pool: str | None = None
    apply_head: bool | None = None
    embedding_norm_eps: float | None = None
    pad_token_id: int | None = None
    norm_pix_loss: bool | None = None
    decoder_heads: int | None = None

    def refuse_others(self, read: Iterable[str], layout: str) -> None:
        """Raise `UserError` where something is said that the layout does not ask."""
        said = [f.name for f in fields(self) if getattr(self, f.name) is not None]
        if idle := [name for name in said if name not in read]:
            flags = ", ".join(f"--{name.replace('_', '-')}" for name in idle)
            raise UserError(f"{flags} says nothing about a {layout}; leave it out")


def choose(name: str, flag: Any, metadata: Any, default: Any) -> Decision:
    """The first of the three that is there."""
    if flag is not None:
        return Decision(name, flag, "flag")
    if metadata is not None:
        return Decision(name, metadata, "metadata")
    return Decision(name, default, "published default")


def decide_steps(
    metadata: Mapping[str, Any], choices: Choices, threshold: float = 0.1
) -> list[Decision]:
    """Step size and threshold of ISTA, which no weight shows.

    Args:
        metadata: What the file says, where the authors' constructor reads it: the classifier's
            takes ``ista``. Lambda is fixed in all their code.
        choices: What the user says.
        threshold: Lambda in the authors' code.

    Raises:
        UserError: A value out of range.
    """
    step = metadata.get("ista")
    decisions = [
        choose("step_size", choices.step_size, step if isinstance(step, float) else None, 0.1),
        choose("threshold", choices.threshold, None, threshold),
    ]
    for name, value, _ in decisions:
        if not (math.isfinite(value) and value >= 0):
            raise UserError(f"{name} is {value}; expected a finite number, not negative")
    return decisions


def whole_number(value: Any) -> int | None:
    """A positive whole number, also as text (safetensors metadata is text)."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value)
    if isinstance(value, int | np.integer) and not isinstance(value, bool) and value > 0:
        return int(value)
    return None
