"""A sample that can be shown, whatever it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor


@dataclass(frozen=True)
class Specimen:
    """One sample as it can be shown.

    Attributes:
        name: Where it is from.
        inputs: Model arguments as a batch of one, without padding.
        query: Place of the token whose attention is shown.
        picture: Of an image, uint8 (height, width, 3).
        grid: Of an image, rows and columns of its patches, which are the last tokens.
        pieces: Of a text, token by token.
    """

    name: str
    inputs: dict[str, Tensor]
    query: int
    picture: np.ndarray | None = None
    grid: tuple[int, int] | None = None
    pieces: tuple[str, ...] = ()
