"""Single coefficients as JSON and as a page: both say the same, and bad requests are named."""

from __future__ import annotations

import json
import re

import pytest
from tests.unit.analysis.tiny_text import tiny_crate_gpt
from tests.unit.evaluation.tiny_language import SENTENCE, byte_level
from tests.unit.report.test_page import Outline

from whitebox_transformers.errors import UserError
from whitebox_transformers.report import neurons as module
from whitebox_transformers.report.neuron_record import Changes
from whitebox_transformers.report.neurons import look_at_neurons
from whitebox_transformers.report.token_text import TokenText


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("language") / "crate-gpt"
    tokenizer = byte_level(eos_token="<s>")
    tiny_crate_gpt(vocab_size=len(tokenizer)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    file = tmp_path_factory.mktemp("text") / "text.txt"
    lines = [SENTENCE[start:] + "\n<b>&amp;</b>" for start in range(0, 40, 2)]
    file.write_text("\n".join(lines), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def written(folder, text):
    return look_at_neurons(folder, layers=[1, -1], top=3, data=[text])


def test_the_json_has_all_coefficients_and_what_was_done(written):
    stored = json.loads(written.json.read_text(encoding="utf-8"))
    assert sorted(stored["statistics"]) == ["1", "3"]
    assert all(
        len(values) == 12 for part in stored["statistics"].values() for values in part.values()
    )
    assert [n["layer"] for n in stored["neurons"]].count(1) == 3
    assert len(stored["neurons"]) == written.shown == 6
    assert stored["looked_at"]["files"][0]["bytes"] > 0
    assert set(stored["protocol"]["changes"]) == {"zero", "times 2", "held"}
    for neuron in stored["neurons"]:
        layer, index = str(neuron["layer"]), neuron["neuron"]
        assert neuron["share_active"] == stored["statistics"][layer]["share_active"][index]
        first = neuron["top"][0]
        assert abs(first["values"][first["at"]]) == pytest.approx(neuron["largest"], rel=1e-3)
        assert sum(neuron["histogram"]["shares"]) == pytest.approx(1)
        assert set(neuron["effects"]) == {"zero", "times 2", "held"}


def test_the_page_shows_every_coefficient_and_is_well_formed(written):
    page = written.html.read_text(encoding="utf-8")
    outline = Outline(page)
    assert outline.open == []
    entries = [a for a in outline.attributes("details") if a.get("class") == "neuron"]
    stored = json.loads(written.json.read_text(encoding="utf-8"))["neurons"]
    ids = [f"layer-{n['layer']}-neuron-{n['neuron']}" for n in stored]
    assert [entry["id"] for entry in entries] == ids
    effects = [float(entry["data-effect"]) for entry in entries]
    assert effects == sorted(effects, reverse=True)
    assert "&lt;b&gt;" in page or "&lt;" in page
    assert not re.search(r"https?:|@import|fetch\(|XMLHttpRequest", page)


def test_chosen_coefficients_and_changes(folder, text, tmp_path):
    changes = Changes(factor=0.5, value=-1.0)
    files = look_at_neurons(
        folder, layers=[2], neurons=[7, 0], data=[text], changes=changes, out=tmp_path
    )
    stored = json.loads(files.json.read_text(encoding="utf-8"))["neurons"]
    assert {n["neuron"] for n in stored} == {0, 7}
    assert all(set(n["effects"]) <= {"zero", "times 0.5", "set to -1"} for n in stored)


def test_a_large_page_leaves_out_the_least_effect(folder, text, tmp_path, monkeypatch):
    whole = look_at_neurons(folder, data=[text], out=tmp_path / "whole")
    size = whole.html.stat().st_size
    monkeypatch.setattr(module, "LARGEST_PAGE", size * 2 // 3)
    small = look_at_neurons(folder, data=[text], out=tmp_path / "small")
    assert small.html.stat().st_size <= size * 2 // 3
    assert "least effect" in small.notes[0]
    entries = Outline(small.html.read_text(encoding="utf-8")).attributes("details")
    shown = [entry["id"] for entry in entries if entry.get("class") == "neuron"]
    stored = json.loads(small.json.read_text(encoding="utf-8"))["neurons"]
    ids = [f"layer-{n['layer']}-neuron-{n['neuron']}" for n in stored]
    assert 0 < len(shown) < len(ids) == 36
    assert shown == ids[: len(shown)]


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"layers": [4]}, "layer 4 does not exist: choose 1 to 3"),
        ({"layers": [0]}, "layer 0 does not exist"),
        ({"neurons": [12]}, "12 does not exist"),
        ({"top": 0}, "top=0"),
        ({"data": ["nowhere.txt"]}, "nowhere.txt"),
        ({"data": None}, "no finished run|not a"),
    ],
)
def test_impossible_requests_are_named(folder, text, tmp_path, request_, message):
    out = tmp_path / "out"
    with pytest.raises(UserError, match=message):
        look_at_neurons(folder, out=out, **{"data": [text]} | request_)
    assert not out.exists()


def test_names_of_tokens_show_their_spaces():
    tokenizer = byte_level()
    text = TokenText(tokenizer)
    tokens = tokenizer(" the\n", add_special_tokens=False)["input_ids"]
    assert text.line(tokens) == " the↵"
    assert text.name(tokens[0]).startswith("␣")
    assert text.name(len(tokenizer)) == f"[unused{len(tokenizer)}]"
    tokenizer.add_tokens(["     x", "y" * 30])
    assert text.name(tokenizer.convert_tokens_to_ids("     x")) == "␣×5x"
    assert text.name(tokenizer.convert_tokens_to_ids("y" * 30)) == "y" * 23 + "…"
