"""A stored score holds everything that decides it, and nothing is written when input is wrong."""

from __future__ import annotations

import hashlib
import json
import re

import pytest
from tests.unit.evaluation.tiny_language import SENTENCE, tiny_bert, tiny_gpt2

from whitebox_transformers.errors import UserError
from whitebox_transformers.evaluation.text_scores import evaluate_texts


@pytest.fixture
def folder(tmp_path):
    language = tiny_gpt2()
    language.model.save_pretrained(tmp_path / "model")
    language.tokenizer.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text(f"{SENTENCE}\n{SENTENCE}")
    return path


def test_the_score_is_stored_in_the_model_s_folder_with_its_protocol(folder, text):
    stored = evaluate_texts(folder, [text], context=12, stride=5, device="cpu")
    assert stored.file is not None
    assert stored.file.parent == folder / "scores"
    assert re.fullmatch(r"a\.txt-context12-stride5-[0-9a-f]{8}\.json", stored.file.name)
    values = json.loads(stored.file.read_text())
    assert values == stored.values
    protocol = values["protocol"]
    assert (protocol["context"], protocol["stride"]) == (12, 5)
    assert protocol["conditioned_on"].startswith("the 8 to 12 tokens before it in the same text")
    assert protocol["texts"]["form"] == "a file is a text"
    content = text.read_bytes()
    assert protocol["texts"]["sources"][0]["sha256"] == hashlib.sha256(content).hexdigest()
    assert protocol["model"]["class"] == "GPT2LMHeadModel"
    assert protocol["model"]["dtype"] == "float32"
    assert protocol["tokenizer"]["opening"] == []
    assert {"versions", "git", "command", "made", "hardware"} <= protocol.keys()
    assert "seed" not in protocol


def test_scores_of_different_texts_have_files_of_their_own(folder, tmp_path):
    """Columns of one table, texts of one name, separators; the same text again has the same."""
    table, elsewhere = tmp_path / "a.csv", tmp_path / "b" / "a.csv"
    table.write_text("one/1,two\nthe cat sat,on the mat\n")
    elsewhere.parent.mkdir()
    elsewhere.write_text("one/1,two\nthe dog sat,on the mat\n")

    def score(path, column):
        return evaluate_texts(folder, [path], column=column, device="cpu").file

    one, two, other = score(table, "one/1"), score(table, "two"), score(elsewhere, "two")
    assert len({one, two, other}) == 3
    assert sorted((folder / "scores").iterdir()) == sorted((one, two, other))
    assert one.name.startswith("a.csv-one_1-context")
    assert score(table, "one/1") == one


def test_weights_and_tokenizer_are_told_apart(folder, text, tmp_path):
    def digests():
        protocol = evaluate_texts(folder, [text], device="cpu").values["protocol"]
        return protocol["model"]["weights_sha256"], protocol["tokenizer"]["sha256"]

    before = digests()
    assert digests() == before
    tiny_gpt2(seed=1).model.save_pretrained(folder)
    assert digests()[0] != before[0]
    assert digests()[1] == before[1]


def test_passages_are_scored_with_their_last_words(folder, text, tmp_path):
    out = tmp_path / "deep" / "score.json"
    stored = evaluate_texts(folder, [text], lambada=True, out=out, device="cpu")
    assert stored.file == out
    assert stored.values["texts"] == 2
    assert 0 <= stored.values["last_word_accuracy"] <= 1
    assert "greedy" in stored.values["protocol"]["last_word"]


def test_a_masked_model_says_what_it_hid(tmp_path, text):
    language = tiny_bert()
    language.model.save_pretrained(tmp_path / "bert")
    language.tokenizer.save_pretrained(tmp_path / "bert")
    protocol = evaluate_texts(tmp_path / "bert", [text], seed=3, device="cpu").values["protocol"]
    assert protocol["hidden_together"] == 0.15
    assert protocol["seed"] == 3
    assert "hidden once" in protocol["measured"]


def test_wrong_input_writes_nothing(folder, text):
    for options in ({"context": 17}, {"stride": 99}, {"lambada": True, "separator": "x"}):
        with pytest.raises(UserError):
            evaluate_texts(folder, [text], device="cpu", **options)
    assert not (folder / "scores").exists()
