"""Attention maps and predictions: the parts of the page that show images."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape

import numpy as np

from whitebox_transformers.report.content import AttentionOfImage, Prediction
from whitebox_transformers.report.layer_slider import layer_slider
from whitebox_transformers.report.notation import to_html
from whitebox_transformers.report.pictures import PHOTO_FROM, data_uri, heatmap_uri

BYTES_FOR_OTHER_LAYERS = 1_200_000

ATTENTION_EXPECTED = (
    "If a head's subspace stands for a part or a shape, its tile lights up on the patches of that "
    "part, and different heads light up in different places. A tile that looks like the control's "
    "was not learned."
)
PREDICTIONS_SHOW = (
    "The most probable classes of each image and their probabilities (softmax of the logits). "
    "Probabilities of a model trained with label smoothing stay below 100 % even when it is sure."
)


def draw_attention(images: Sequence[AttentionOfImage], words: str) -> str:
    """The chapter of class-token attention: a slider for the layer, one figure per image."""
    if not images:
        return ""
    layers = _layers_that_fit(images)
    first = layers.index(images[0].layer)
    stored = {"layers": layers, "maps": [_uris_by_layer(image, layers) for image in images]}
    figures = "".join(
        _attention_figure(image, uris[image.layer])
        for image, uris in zip(images, stored["maps"], strict=True)
    )
    return (
        '<section id="attention"><h2>Where the class token looks</h2>'
        f"<p>{to_html(words)}</p><p>{to_html(ATTENTION_EXPECTED)}</p>"
        f"{_controls(layers, first)}{figures}"
        f'<script type="application/json">{json.dumps(stored)}</script></section>'
    )


def draw_predictions(predictions: Sequence[Prediction]) -> str:
    """The chapter of predictions: one card per image."""
    if not predictions:
        return ""
    cards = "".join(map(_prediction_card, predictions))
    return (
        f'<section id="predictions"><h2>What the model says</h2><p>{to_html(PREDICTIONS_SHOW)}</p>'
        f'<div class="predictions">{cards}</div></section>'
    )


def _layers_that_fit(images: Sequence[AttentionOfImage]) -> list[int]:
    """All layers if their maps stay small together, else the shown one and evenly spaced others."""
    layers = sorted(images[0].maps)
    bytes_per_layer = sum(image.maps[image.layer].size * 2 + 400 for image in images)
    count = max(1, min(len(layers), BYTES_FOR_OTHER_LAYERS // bytes_per_layer))
    chosen = {layers[round(i)] for i in np.linspace(0, len(layers) - 1, count)}
    return sorted({*chosen, images[0].layer}) if count > 1 else [images[0].layer]


def _uris_by_layer(image: AttentionOfImage, layers: list[int]) -> dict[int, list[str]]:
    return {layer: [_map_uri(values) for values in image.maps[layer]] for layer in layers}


def _map_uri(values: np.ndarray) -> str:
    return heatmap_uri(values, 0.0, float(values.max()))


def _controls(layers: list[int], first: int) -> str:
    mix = (
        '<label>Show the image beneath <input id="attention-mix" type="range" min="15" max="100" '
        'value="100" dir="rtl"></label>'
    )
    return f'<div class="controls" hidden>{layer_slider(layers, first)}{mix}</div>'


def _attention_figure(image: AttentionOfImage, uris: list[str]) -> str:
    picture, name = data_uri(image.picture), escape(image.name)
    subject = (
        f'<figure><img class="{sharpness(image.picture)}" src="{picture}" alt="{name}">'
        '<span class="subject">Image</span></figure>'
    )
    rows = f'<div class="heads">{subject}{_tiles(image, uris, "of-model", "Attention")}</div>'
    if image.control is not None:
        control = [_map_uri(values) for values in image.control]
        tiles = _tiles(image, control, "of-control", "Untrained attention")
        rows += f'<h4>Untrained control, layer {image.layer}</h4><div class="heads">{tiles}</div>'
    return (
        f'<figure class="attention" style="--picture:url({picture})"><h3>{name}</h3>{rows}</figure>'
    )


def _tiles(image: AttentionOfImage, uris: list[str], kind: str, what: str) -> str:
    height, width = image.picture.shape[:2]
    return "".join(
        f'<figure class="{kind}"><span class="tile"><img src="{uri}" '
        f'alt="{what} of head {head}, layer {image.layer}: {escape(image.name)}" '
        f'style="aspect-ratio:{width}/{height}"></span>Head {head}</figure>'
        for head, uri in enumerate(uris, start=1)
    )


def _prediction_card(prediction: Prediction) -> str:
    bars = "".join(
        f'<li><span>{escape(label)}</span><data value="{share:.6f}">{100 * share:.1f} %</data>'
        f'<i style="--share:{100 * share:.1f}%"></i></li>'
        for label, share in prediction.ranking
    )
    verdict = ""
    if prediction.truth is not None:
        right = prediction.ranking[0][0] == prediction.truth
        said = "✓ right" if right else f"✗ labelled {escape(prediction.truth)}"
        verdict = f'<span class="verdict">{said}</span>'
    return (
        f'<figure class="prediction"><img class="{sharpness(prediction.picture)}" '
        f'src="{data_uri(prediction.picture)}" alt="{escape(prediction.name)}">'
        f"<figcaption><h3>{escape(prediction.name)}</h3>{verdict}"
        f'<ol class="bars">{bars}</ol></figcaption></figure>'
    )


def sharpness(picture: np.ndarray) -> str:
    """Style class by size: small pictures keep their pixels sharp."""
    return "photo" if min(picture.shape[:2]) >= PHOTO_FROM else "crisp"
