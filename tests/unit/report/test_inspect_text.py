"""`inspect` on very short runs of language models: what it shows of texts, and what it refuses."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import torch
from tests.learn.tiny_text_run import tiny_text_recipe, write_language
from tests.unit.report.test_page import Outline
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoTokenizer

from whitebox_transformers.errors import UserError
from whitebox_transformers.report.inspect import inspect
from whitebox_transformers.training.compare import measured_row
from whitebox_transformers.training.run import train

pytest.importorskip("PIL")
pytest.importorskip("matplotlib")

RUNS = {
    "crate-gpt": ("causal-lm", {}),
    "gpt2": ("causal-lm", {"cross_documents": False}),
    "crate-bert": ("masked-lm", {"cross_documents": False}),
    "bert": ("masked-lm", {}),
}


@pytest.fixture(scope="module")
def language(tmp_path_factory):
    return write_language(tmp_path_factory.mktemp("text"))


@pytest.fixture(scope="module")
def run_of(language, tmp_path_factory):
    """Folder of a finished run of a family, trained once."""
    made = {}

    def run(family: str):
        if family not in made:
            task, data = RUNS[family]
            recipe = tiny_text_recipe(
                task, family, language, data, steps=2, accumulate=1, evaluate_every=2, device="cpu"
            )
            recipe.out = str(tmp_path_factory.mktemp("runs") / family)
            made[family] = train(recipe).folder
        return made[family]

    return run


@pytest.fixture
def without_figures(monkeypatch):
    monkeypatch.setattr("whitebox_transformers.report.inspect.write_figures", lambda *_: [])


@pytest.mark.parametrize("family", RUNS)
def test_every_language_model_has_its_page(run_of, family, tmp_path, without_figures):
    result = inspect(run_of(family), samples=5, out=tmp_path)
    numbers = json.loads(result.json.read_text(encoding="utf-8"))
    assert {split: found["count"] for split, found in numbers["trained"].items()} == {
        "train": 5,
        "validation": 5,
    }
    curves = numbers["trained"]["validation"]["curves"]
    assert ("rate-published-z" in curves) == family.startswith("crate")
    assert all(np.isfinite(curve["mean"]).all() for curve in curves.values())
    page = result.html.read_text(encoding="utf-8")
    outline = Outline(page)
    assert outline.open == []
    shown = {attrs["id"] for _, attrs in outline.tags if "id" in attrs}
    assert {"nonzero-share", "rate-raw", "tokens", "attention", "predictions"} <= shown
    assert {"explore", "explore-layer", "explore-head", "explore-attention"} <= shown
    assert len(outline.attributes("option")) == 8
    assert ("subspaces" in shown) == family.startswith("crate")
    chapter = page[page.index('<section id="attention"') :]
    stored = re.search(r'<script type="application/json">(.*?)</script>', chapter)
    heads = len(next(iter(json.loads(stored[1])["maps"][0].values())))
    marks = [attrs["class"] for attrs in outline.attributes("mark")]
    assert heads == 2
    outlined = sum(kind.endswith(" at") for kind in marks)
    hidden = 4 if RUNS[family][0] == "masked-lm" else 0  # the cards of predictions
    assert outlined == 4 * 2 * heads + hidden  # four texts, trained and untrained


def test_what_follows_a_text_is_what_the_model_says(run_of, tmp_path):
    run = run_of("crate-gpt")
    result = inspect(run, samples=2, out=tmp_path, texts=["the cat sees", "a dog"])
    written = {path.name for path in result.pngs}
    assert {"attention-1.png", "attention-2.png", "predictions-1.png", "tokens.png"} <= written
    predictions = json.loads(result.json.read_text(encoding="utf-8"))["predictions"]
    assert ["".join(item["tokens"]) for item in predictions][1] == "a dog"
    model, tokenizer = AutoModelForCausalLM.from_pretrained(run), AutoTokenizer.from_pretrained(run)
    tokens = tokenizer("a dog", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        shares = model(input_ids=tokens).logits[0].double().softmax(-1)
    best = shares[-1].topk(5)
    ranking = predictions[1]["ranking"]
    assert [share for _, share in ranking] == pytest.approx(best.values.tolist(), rel=1e-4)
    names = [tokenizer.decode(int(i)).replace(" ", "␣").replace("\n", "↵") for i in best.indices]
    assert [name for name, _ in ranking] == names
    surprise = [-shares[i, tokens[0, i + 1]].log().item() for i in range(4)]
    assert predictions[1]["surprise_nats"][0] is None
    assert predictions[1]["surprise_nats"][1:] == pytest.approx(surprise, rel=1e-4)
    assert predictions[1]["label"] is None


def test_the_table_of_a_pair_measures_what_its_page_measures(
    language, tmp_path, without_figures, monkeypatch
):
    monkeypatch.setattr("whitebox_transformers.training.compare.MEASURED_SAMPLES", 2)
    recipe = tiny_text_recipe("causal-lm", "crate-gpt", language, steps=2, device="cpu")
    recipe.out = str(tmp_path / "run")
    finished = train(recipe)
    row = measured_row(finished)
    page = inspect(finished.folder, samples=2, out=tmp_path)
    curves = json.loads(page.json.read_text(encoding="utf-8"))["trained"]["validation"]
    rates = curves["curves"]["rate-published-z"]["mean"]
    assert curves["count"] == 2
    assert row.compression == pytest.approx((rates[0], rates[-1]), rel=1e-6)


def test_what_followed_in_the_validation_text_is_known(run_of, language, tmp_path, without_figures):
    result = inspect(run_of("crate-gpt"), samples=2, out=tmp_path)
    predictions = json.loads(result.json.read_text(encoding="utf-8"))["predictions"]
    texts = "".join(path.read_text() for path in language.iterdir()).replace("\n", "↵")
    for item in predictions:
        last = "".join(item["tokens"]).rpartition("<")[2].rpartition(">")[2]
        assert len(item["label"]) == 1
        assert last + item["label"].replace("␣", " ") in texts


@pytest.mark.parametrize("family", ["crate-bert", "bert"])
def test_the_hidden_token_is_looked_for(run_of, family, tmp_path, without_figures):
    run = run_of(family)
    tokenizer = AutoTokenizer.from_pretrained(run)
    text = f"the {tokenizer.mask_token}at"
    result = inspect(run, samples=2, out=tmp_path, texts=[text, "a star"])
    first, second = json.loads(result.json.read_text(encoding="utf-8"))["predictions"]
    assert first["label"] is None
    assert first["tokens"][first["hidden"]] == tokenizer.mask_token
    assert second["label"] == "a star"[second["hidden"] - 1]  # after the beginning token
    model = AutoModelForMaskedLM.from_pretrained(run)
    with torch.no_grad():
        logits = model(**tokenizer(text, return_tensors="pt")).logits[0, first["hidden"]]
    best = logits.double().softmax(-1).topk(5).values.tolist()
    assert [share for _, share in first["ranking"]] == pytest.approx(best, rel=1e-4)


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"texts": ["the cat sees a dog and a star"]}, "at most 16"),
        ({"texts": ["a d$g"]}, "no token for '\\$'"),
        ({"texts": ["a dog", ""]}, "a text is empty"),
        ({"images": ["cat.png"]}, "a run on text and shows no images"),
    ],
)
def test_what_cannot_be_shown_is_refused_before_any_work(run_of, tmp_path, request_, message):
    with pytest.raises(UserError, match=message):
        inspect(run_of("crate-gpt"), out=tmp_path / "out", **request_)
    assert not (tmp_path / "out").exists()
