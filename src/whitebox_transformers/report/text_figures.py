"""Attention and predictions of texts as PNG figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from whitebox_transformers.report.canvas import figure_of, heading, literal
from whitebox_transformers.report.content import AttentionOfText, TextPrediction
from whitebox_transformers.report.palette import COLOR_MAP, LIGHT

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LONGEST_TITLE = 60


def draw_attention(text: AttentionOfText) -> Figure:
    """Heads by tokens, each head scaled to its largest weight; the control beneath in grey."""
    maps = [("head", text.maps[text.layer], COLOR_MAP)]
    if text.control is not None:
        maps.append(("control", text.control, "gray"))
    heads = len(maps[0][1])
    figure = figure_of(1.6 + 0.17 * len(text.pieces), 1.4 + 0.2 * heads * len(maps))
    panels = figure.subplots(len(maps), 1, squeeze=False, sharex=True)[:, 0]
    for panel, (title, weights, colors) in zip(panels, maps, strict=True):
        scaled = weights / np.maximum(weights.max(1, keepdims=True), 1e-12)
        panel.imshow(scaled, cmap=colors, vmin=0, vmax=1, aspect="auto", interpolation="nearest")
        panel.set_yticks(range(heads), [f"{title} {head}" for head in range(1, heads + 1)])
        panel.tick_params(labelsize=7, length=0)
        panel.grid(visible=False)
    labels = [literal(piece) for piece in text.pieces]
    panels[-1].set_xticks(range(len(labels)), labels, rotation=90, family="monospace")
    panels[-1].get_xticklabels()[text.query].set_fontweight("bold")
    heading(figure, f"Attention of one token (bold), layer {text.layer}: {literal(text.name)}")
    return figure


def draw_predictions(predictions: Sequence[TextPrediction]) -> Figure:
    """One panel per text: its end, and bars of the most probable tokens or classes."""
    figure = figure_of(6.4, 0.5 + 1.5 * len(predictions))
    panels = figure.subplots(len(predictions), 1, squeeze=False)[:, 0]
    for bars, prediction in zip(panels, predictions, strict=True):
        labels, shares = zip(*reversed(prediction.ranking), strict=True)
        places = range(len(labels))
        bars.barh(places, [100 * share for share in shares], color=LIGHT["train"])
        bars.set_yticks(places, [literal(label) for label in labels], fontsize=8)
        bars.set_xlim(0, 100)
        bars.grid(visible=False)
        truth = "" if prediction.truth is None else f"  [{literal(prediction.truth)}]"
        bars.set_title(literal(_end(prediction)) + truth, loc="left", fontsize=8)
    panels[-1].set_xlabel("probability (%); in brackets what it was")
    return figure


def _end(prediction: TextPrediction) -> str:
    """As much of the text as fits: up to what is asked for, or around what is hidden."""
    pieces = prediction.pieces
    if prediction.query is not None:
        before = "".join(pieces[: prediction.query])[-LONGEST_TITLE // 2 :]
        return before + "".join(pieces[prediction.query :])[: LONGEST_TITLE // 2]
    return "".join(pieces)[-LONGEST_TITLE:]
