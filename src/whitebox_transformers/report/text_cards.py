"""Attention and predictions: the parts of the page that show texts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape

import numpy as np

from whitebox_transformers.report.content import AttentionOfText, TextPrediction
from whitebox_transformers.report.layer_slider import layer_slider
from whitebox_transformers.report.marked_text import marked, shade
from whitebox_transformers.report.notation import to_html

ATTENTION_EXPECTED = (
    "If a head's subspace stands for a kind of word or a relation, its row lights up on the tokens "
    "of that kind, and different heads light up in different places. A row that looks like the "
    "control's was not learned."
)
PREDICTIONS_SHOW = (
    "The most probable tokens or classes of each text and their probabilities (softmax of the "
    "logits)."
)
SURPRISE = (
    " The darker a token is marked, the less the model expected it after those before it: minus "
    "the logarithm of its probability, in nats, relative to the largest of the text."
)


def draw_attention(texts: Sequence[AttentionOfText], words: str) -> str:
    """The chapter of one token's attention: a slider for the layer, one figure per text."""
    if not texts:
        return ""
    layers = sorted(texts[0].maps)
    stored = {
        "layers": layers,
        "maps": [{layer: _shades(text.maps[layer]) for layer in layers} for text in texts],
    }
    figures = "".join(map(_attention_figure, texts))
    slider = layer_slider(layers, layers.index(texts[0].layer))
    return (
        '<section id="attention"><h2>Where one token looks</h2>'
        f"<p>{to_html(words)}</p><p>{to_html(ATTENTION_EXPECTED)}</p>"
        f'<div class="controls" hidden>{slider}</div>{figures}'
        f'<script type="application/json">{json.dumps(stored)}</script></section>'
    )


def draw_predictions(predictions: Sequence[TextPrediction]) -> str:
    """The chapter of predictions: one card per text."""
    if not predictions:
        return ""
    words = PREDICTIONS_SHOW + (SURPRISE if any(item.surprise for item in predictions) else "")
    cards = "".join(map(_prediction_card, predictions))
    return (
        f'<section id="predictions"><h2>What the model says</h2><p>{to_html(words)}</p>'
        f'<div class="texts">{cards}</div></section>'
    )


def _shades(weights: np.ndarray) -> list[str]:
    """One digit per token and head."""
    return ["".join(str(shade(value, max(row))) for value in row) for row in weights.tolist()]


def _attention_figure(text: AttentionOfText) -> str:
    rows = f'<div class="rows">{_heads(text, text.maps[text.layer], "of-model")}</div>'
    if text.control is not None:
        control = _heads(text, text.control, "of-control")
        rows += f'<h4>Untrained control, layer {text.layer}</h4><div class="rows">{control}</div>'
    return f'<figure class="attention"><h3>{escape(text.name)}</h3>{rows}</figure>'


def _heads(text: AttentionOfText, weights: np.ndarray, kind: str) -> str:
    return "".join(
        f'<figure class="{kind}">Head {head}<span class="text">{_row(text, row)}</span></figure>'
        for head, row in enumerate(weights.tolist(), start=1)
    )


def _row(text: AttentionOfText, weights: list[float]) -> str:
    """Every token is a mark, so that another layer's shades can take its place."""
    largest = max(weights)
    return "".join(
        f'<mark class="m{shade(value, largest)}{" at" if place == text.query else ""}">'
        f"{escape(piece)}</mark>"
        for place, (piece, value) in enumerate(zip(text.pieces, weights, strict=True))
    )


def _prediction_card(prediction: TextPrediction) -> str:
    bars = "".join(
        f'<li><span>{escape(label)}</span><data value="{share:.6f}">{100 * share:.1f} %</data>'
        f'<i style="--share:{100 * share:.1f}%"></i></li>'
        for label, share in prediction.ranking
    )
    verdict = ""
    if prediction.truth is not None:
        right = prediction.ranking[0][0] == prediction.truth
        said = "✓ right" if right else f"✗ it was {escape(prediction.truth)}"
        verdict = f'<span class="verdict">{said}</span>'
    surprise = [0.0 if np.isnan(value) else value for value in prediction.surprise]
    surprise = surprise or [0.0] * len(prediction.pieces)
    text = marked(prediction.pieces, surprise, max(surprise), prediction.query)
    return (
        f'<figure class="prediction"><div><h3>{escape(prediction.name)}</h3>'
        f'<span class="text">{text}</span></div>'
        f'<figcaption>{verdict}<ol class="bars">{bars}</ol></figcaption></figure>'
    )
