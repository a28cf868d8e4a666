"""What the page computes from is enough to have the attention of any token back."""

from __future__ import annotations

import base64
import json
import re

import numpy as np
import pytest
import torch
from tests.unit.analysis.tiny import images, tiny_crate, tiny_vit
from tests.unit.analysis.tiny_text import texts, tiny_crate_gpt

from whitebox_transformers.analysis.attention import attention_rows
from whitebox_transformers.report import explorer
from whitebox_transformers.report.exploration import (
    MOST_NUMBERS,
    MOST_SAMPLES,
    Exploration,
    Explored,
    Projections,
    explore,
)
from whitebox_transformers.report.specimen import Specimen

pytest.importorskip("sklearn")
pytest.importorskip("PIL")


class Shown:
    """A gallery of given specimens."""

    query_name = "class token"

    def __init__(self, *specimens: Specimen) -> None:
        self._specimens = list(specimens)

    def specimens(self, model) -> list[Specimen]:
        return self._specimens


def image(name: str = "a", seed: int = 1) -> Specimen:
    picture = np.zeros((16, 24, 3), np.uint8)
    return Specimen(name, {"pixel_values": images(1, seed)}, 0, picture, (4, 6))


def text() -> Specimen:
    ids = texts(1)
    return Specimen("t", {"input_ids": ids}, 11, pieces=tuple(f"<{i}>" for i in ids[0].tolist()))


def stored(exploration: Exploration) -> dict:
    found = re.search(r'<script type="application/json">(.*?)</script>', explorer.draw(exploration))
    assert found
    return json.loads(found.group(1))


def whole(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), "<i2").astype(np.float64)


def rows_as_the_page_computes_them(data: dict, heads: int, query: int) -> np.ndarray:
    """(layers, K, N) from what is stored, as the script does it."""
    tokens, given = data["samples"][0]["tokens"], data["projections"]
    shape = (len(data["layers"]), heads, tokens, given["width"])
    queries = (
        whole(given["queries"]).reshape(shape) * np.array(given["queriesStep"])[..., None, None]
    )
    keys = queries
    if "keys" in given:
        keys = whole(given["keys"]).reshape(shape) * np.array(given["keysStep"])[..., None, None]
    scores = given["scaling"] * np.einsum("lkp,lknp->lkn", queries[:, :, query], keys)
    if "allowed" in given:
        bits = np.unpackbits(
            np.frombuffer(base64.b64decode(given["allowed"]), np.uint8), bitorder="little"
        )[: tokens**2].reshape(tokens, tokens)
        scores = np.where(bits[query] > 0, scores, -np.inf)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


@pytest.mark.parametrize(
    ("model", "specimen"),
    [
        (tiny_crate(), image()),
        (tiny_crate(attend_self=False), image()),
        (tiny_crate_gpt(), text()),
        (tiny_crate_gpt(position_embedding_type="rotary"), text()),
        (tiny_crate_gpt(key_lag=1), text()),
    ],
    ids=["image", "without-self", "causal", "rotary", "lagging-keys"],
)
def test_any_token_s_attention_can_be_computed_from_what_is_stored(model, specimen) -> None:
    data = stored(explore(model, Shown(specimen), 1, 0))
    assert data["layers"] == [1, 2, 3]
    assert data["first"] == 2
    for query in (0, 5, 11):
        expected = attention_rows(model, specimen.inputs, query)
        expected = torch.stack([expected[layer][0] for layer in range(3)]).numpy()
        found = rows_as_the_page_computes_them(data, 3, query)
        assert np.abs(found - expected).max() < 1e-3


def test_every_sample_has_its_rows_clusters_and_curves() -> None:
    model = tiny_crate()
    data = stored(explore(model, Shown(image(), image("b", 2)), 1, 0))
    assert len(data["samples"]) == 2
    for sample, seed in zip(data["samples"], (1, 2), strict=True):
        rows = np.frombuffer(base64.b64decode(sample["rows"]), np.uint8).reshape(3, 3, 25) / 255
        rows = rows * np.array(sample["largest"])[..., None]
        expected = attention_rows(model, {"pixel_values": images(1, seed)}, 0)[2][0].numpy()
        assert np.abs(rows[2] - expected).max() < 0.005
        assert len(base64.b64decode(sample["clusters"])) == 4 * 25
        assert len(sample["curves"]["rate-published-z"]) == 3
        assert sample["picture"].startswith("data:image/png")


def test_a_black_box_has_the_rows_of_its_query_alone() -> None:
    data = stored(explore(tiny_vit(), Shown(image()), 1, 0))
    assert data["projections"] is None
    assert data["samples"][0]["curves"].keys() == {"rate-unit", "nonzero-share"}


def test_names_and_tokens_from_outside_cannot_become_markup() -> None:
    evil = "</script><script>alert(1)</script>"
    specimen = Specimen(evil, text().inputs, 11, pieces=(evil,) * 12)
    chapter = explorer.draw(explore(tiny_crate_gpt(), Shown(specimen), 1, 0))
    assert "<script>alert" not in chapter
    assert json.dumps(stored(explore(tiny_crate_gpt(), Shown(specimen), 1, 0))).count("alert") == 12


def test_layers_are_thinned_out_where_all_would_not_fit(monkeypatch) -> None:
    model = tiny_crate(num_hidden_layers=4)
    for most, layers, computed in ((1000, [1, 3, 4], True), (300, [3], True), (10, [3], False)):
        monkeypatch.setattr("whitebox_transformers.report.exploration.MOST_NUMBERS", most)
        data = stored(explore(model, Shown(image()), 2, 0))
        assert data["layers"] == layers
        assert (data["projections"] is not None) == computed


def test_the_largest_chapter_is_a_few_megabytes() -> None:
    per_layer = MOST_NUMBERS // 20
    queries = np.ones((20, 1, per_layer // 50, 50), np.float32)
    sample = Explored(
        image(),
        np.ones((20, 1, per_layer // MOST_SAMPLES), np.float32),
        np.zeros((25, per_layer // MOST_SAMPLES), int),
        {},
    )
    projections = Projections(queries, None, 1.0, None)
    chapter = explorer.draw(
        Exploration(24, list(range(1, 21)), 1, [sample] * MOST_SAMPLES, projections, "token")
    )
    assert 3_000_000 < len(chapter) < 6_000_000
