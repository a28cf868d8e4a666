"""The chapter in which a person picks a sample, a layer, a head and a token.

What is stored is small: attention rows as one byte a token, projections u as two bytes a number, so
that the page computes the attention of any token by itself.
"""

from __future__ import annotations

import base64
import json
from html import escape
from typing import Any

import numpy as np

from whitebox_transformers.report.exploration import (
    FOLLOWED,
    Exploration,
    Explored,
    Projections,
)
from whitebox_transformers.report.notation import to_html
from whitebox_transformers.report.pictures import data_uri

WORDS = (
    "Move through the layers and see what happens to one sample: where its {query} looks in one "
    "head, which tokens point the same way (k-means on their directions at $Z^\\ell$; a cluster "
    "keeps its number from layer to layer as far as it can be followed), and how rates and "
    "sparsity go on."
)
NO_ATTENTION = (
    " The layers of this model compare no tokens: in place of attention each head shows its "
    "membership $\\pi_{ki}$ of every token."
)
ANY_TOKEN = (
    " Of the first sample any token can be chosen, by pointer, or with the arrow keys on the "
    "picture or text: the page then computes the softmax over tokens of "
    "$⟨U_k^\\top z_i, U_k^\\top z_q⟩/√p$ by itself."
)


def draw(exploration: Exploration) -> str:
    """The chapter; empty controls that the page's script brings to life."""
    words = WORDS.replace("{query}", exploration.query_name)
    if exploration.memberships:
        words += NO_ATTENTION
    if exploration.projections is not None:
        words += ANY_TOKEN
    options = "".join(
        f'<option value="{number}">{escape(sample.specimen.name)}</option>'
        for number, sample in enumerate(exploration.samples)
    )
    heads = exploration.samples[0].rows.shape[1]
    curves = "".join(
        f'<figure class="followed" data-measure="{key}"><figcaption>{to_html(title)}</figcaption>'
        f'<svg viewBox="0 0 240 96" role="img" aria-label="{key} by layer"></svg>'
        "<output></output><small></small></figure>"
        for key, title in FOLLOWED.items()
        if key in exploration.samples[0].curves
    )
    return (
        f'<section id="explore"><h2>Explore</h2><p>{to_html(words)}</p>'
        "<noscript><p>This chapter needs the page's script; the others do not.</p></noscript>"
        '<div class="explorer" hidden><div class="controls">'
        f'<label>Sample <select id="explore-sample">{options}</select></label>'
        f"{_slider('layer', 'Layer', len(exploration.layers))}{_slider('head', 'Head', heads)}"
        '<button type="button" id="explore-reset" hidden></button></div>'
        f'<div class="views">{_view("attention", "Attention")}{_view("clusters", "Clusters")}</div>'
        '<p class="said" id="explore-said" aria-live="polite"></p>'
        f'<div class="curves">{curves}</div></div>'
        f'<script type="application/json">{_json(exploration)}</script></section>'
    )


def _slider(name: str, label: str, count: int) -> str:
    return (
        f'<label>{label} <input id="explore-{name}" type="range" min="0" max="{count - 1}" '
        'value="0"><output></output></label>'
    )


def _view(name: str, title: str) -> str:
    return (
        f'<figure class="view"><h3 id="explore-{name}-title">{title}</h3>'
        f'<div class="tokens" id="explore-{name}" tabindex="0" role="group" '
        f'aria-labelledby="explore-{name}-title"></div></figure>'
    )


def _json(exploration: Exploration) -> str:
    stored = {
        "depth": exploration.depth,
        "layers": exploration.layers,
        "first": exploration.first,
        "query": exploration.query_name,
        "samples": [_sample(sample) for sample in exploration.samples],
        "projections": exploration.projections and _projections(exploration.projections),
    }
    # A text may hold what would end the script.
    return json.dumps(stored, ensure_ascii=True).replace("<", "\\u003c")


def _sample(sample: Explored) -> dict[str, Any]:
    specimen = sample.specimen
    largest = sample.rows.max(-1, keepdims=True)
    bytes_ = np.round(255 * sample.rows / np.where(largest > 0, largest, 1)).astype(np.uint8)
    return {
        "query": specimen.query,
        "tokens": sample.rows.shape[-1],
        "picture": None if specimen.picture is None else data_uri(specimen.picture),
        "size": None if specimen.picture is None else list(specimen.picture.shape[1::-1]),
        "grid": specimen.grid,
        "pieces": list(specimen.pieces),
        "rows": _base64(bytes_),
        "largest": [[round(float(value), 5) for value in layer] for layer in largest[..., 0]],
        "clusters": _base64(sample.clusters.astype(np.uint8)),
        "curves": {key: [round(v, 4) for v in values] for key, values in sample.curves.items()},
    }


def _projections(projections: Projections) -> dict[str, Any]:
    stored: dict[str, Any] = {
        "scaling": projections.scaling,
        "width": projections.queries.shape[-1],
    }
    stored |= _quantised("queries", projections.queries)
    if projections.keys is not None:
        stored |= _quantised("keys", projections.keys)
    if projections.allowed is not None:
        stored["allowed"] = _base64(np.packbits(projections.allowed, axis=None, bitorder="little"))
    return stored


def _quantised(name: str, values: np.ndarray) -> dict[str, Any]:
    """Two bytes a number, and one step for each layer and head."""
    step = np.abs(values).max((-2, -1), keepdims=True) / 32767
    step = np.where(step > 0, step, 1.0)
    whole = np.round(values / step).astype("<i2")
    return {name: _base64(whole), f"{name}Step": step[..., 0, 0].tolist()}


def _base64(values: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode("ascii")
