"""Reconstructions of a masked autoencoder as cards of the page."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from whitebox_transformers.report.axes import number
from whitebox_transformers.report.content import Reconstruction
from whitebox_transformers.report.image_cards import draw_attention, sharpness
from whitebox_transformers.report.notation import to_html
from whitebox_transformers.report.pictures import data_uri

SHOWS = (
    "What the model saw (hidden patches grey), the same with its own patches where they were "
    "hidden, and the image. The error is the mean squared error of the hidden patches, in the unit "
    "of the loss."
)
EXPECTED = (
    "A model that learned what its images look like continues strokes and surfaces across hidden "
    "patches; one that did not fills them with one shade. What cannot be known from the rest stays "
    "blurred, because the squared error is least at the mean of all that is possible."
)


def draw_predictions(reconstructions: Sequence[Reconstruction]) -> str:
    """The chapter of reconstructions: one row of three pictures per image."""
    if not reconstructions:
        return ""
    rows = "".join(map(_row, reconstructions))
    return (
        f'<section id="predictions"><h2>What the model fills in</h2><p>{to_html(SHOWS)}</p>'
        f"<p>{to_html(EXPECTED)}</p>{rows}</section>"
    )


def _row(found: Reconstruction) -> str:
    name = escape(found.name)
    tiles = "".join(
        _tile(picture, words, f"{words}: {name}")
        for picture, words in (
            (found.masked, "Seen"),
            (found.filled, "Filled in"),
            (found.target, "Image"),
        )
    )
    return (
        f'<figure class="attention"><h3>{name}, error {number(found.error)}</h3>'
        f'<div class="heads">{tiles}</div></figure>'
    )


def _tile(picture: np.ndarray, words: str, alternative: str) -> str:
    return (
        f'<figure><img class="{sharpness(picture)}" src="{data_uri(picture)}" '
        f'alt="{alternative}">{words}</figure>'
    )


__all__ = ["draw_attention", "draw_predictions"]
