"""Tiny text classifiers on a tiny pre-trained model: they learn, and resume bit-equal."""

import json
import random
from dataclasses import replace

import pytest
from tests.learn.interruption import Interrupt, assert_same_run
from tests.learn.tiny_text_run import NOUNS, VERBS, tiny_text_recipe, write_language
from transformers import AutoTokenizer, pipeline

from whitebox_transformers.data.text import TokenizerConfig
from whitebox_transformers.errors import UserError
from whitebox_transformers.evaluation.finished_run import evaluate
from whitebox_transformers.training.compare import compare
from whitebox_transformers.training.recipe import recipe_from_dict, recipe_to_dict
from whitebox_transformers.training.run import train
from whitebox_transformers.training.smoke import smoke

pytestmark = pytest.mark.learn
# The body of each is learned by this task.
FAMILIES = {
    "crate-bert": "masked-lm",
    "bert": "masked-lm",
    "crate-gpt": "causal-lm",
    "gpt2": "causal-lm",
}
# What does not depend on the family is tried on one white box and one black box of either task.
both_boxes = pytest.mark.parametrize("body", ["crate-bert", "gpt2"], indirect=True)


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """Sentences of five words; whether a cat occurs, and how long it is."""
    draw = random.Random(0)
    lines = ["text\tlabel\tlength"]
    for _ in range(200):
        words = f"{draw.choice(NOUNS)} {draw.choice(VERBS)} {draw.choice(NOUNS)}"
        lines.append(f"{words}\t{'cat' if 'cat' in words else 'other'}\t{(len(words) - 22) / 3}")
    path = tmp_path_factory.mktemp("rows") / "rows.tsv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    return write_language(tmp_path_factory.mktemp("text") / "language")


@pytest.fixture(scope="module", params=FAMILIES)
def body(request, text, tmp_path_factory):
    """A language model of a few steps."""
    folder = tmp_path_factory.mktemp("runs") / request.param
    task = FAMILIES[request.param]
    recipe = tiny_text_recipe(task, request.param, text, steps=2, checkpoint_every=2)
    train(replace(recipe, tokenizer=TokenizerConfig(kind="words")), folder)
    return folder


def recipe_on(body, rows, data=None, metric=None, **settings):
    task = FAMILIES[body.name]
    values = recipe_to_dict(tiny_text_recipe(task, body.name, rows, **settings))
    values |= {"task": "text-classification", "metric": metric}
    values["model"] |= {"from": str(body), "config": {}}
    values["data"] |= {"source": "table", "text_column": "text"} | (data or {})
    return recipe_from_dict(values)


@pytest.fixture(scope="module")
def learned(body, rows, tmp_path_factory):
    recipe = recipe_on(body, rows, steps=100, evaluate_every=50)
    return train(recipe, tmp_path_factory.mktemp("runs") / "learned")


def test_a_pretrained_body_learns_classes(learned):
    assert learned.validation["accuracy"] > 0.9
    test = json.loads((learned.folder / "metrics.json").read_text())["test"]
    assert test["accuracy"] > 0.9
    assert test["f1"] > 0.9
    assert test["matthews"] > 0.7
    assert evaluate(learned.folder) == pytest.approx(test)


def test_its_folder_answers_with_names_of_classes_and_has_the_tokenizer_of_the_body(learned, body):
    classify = pipeline("text-classification", str(learned.folder))
    assert classify("the cat sees a star")[0]["label"] == "cat"
    texts = ["the moon follows the cat", "a dog finds a dog"]
    assert [answer["label"] for answer in classify(texts)] == ["cat", "other"]
    mine, its = (AutoTokenizer.from_pretrained(folder) for folder in (learned.folder, body))
    assert mine.get_vocab() == its.get_vocab()
    assert "text-classification" in (learned.folder / "README.md").read_text()


@both_boxes
def test_interrupted_run_equals_the_unbroken_one(body, rows, tmp_path):
    train(recipe_on(body, rows), tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(recipe_on(body, rows, workers=1), tmp_path / "run", [Interrupt([7])])
    train(recipe_on(body, rows), tmp_path / "run")
    assert_same_run(tmp_path / "run", tmp_path / "whole")


@both_boxes
def test_numbers_are_learned_as_numbers(body, rows, tmp_path):
    data = {"regression": True, "label_column": "length", "validation_share": 0.3}
    settings = {"steps": 120, "evaluate_every": 60, "checkpoint_every": 60}
    result = train(recipe_on(body, rows, data, metric="spearman", **settings), tmp_path / "run")
    assert result.validation["spearman"] > 0.8
    assert set(result.scores) == {"pearson", "spearman", "loss"}


def test_smoke_makes_up_pairs_with_labels_where_there_are_none(tmp_path):
    nowhere = tmp_path / "nowhere" / "crate-bert"
    data = {"text_pair_column": "second", "labels": ["yes", "no"]}
    recipe = recipe_on(nowhere, tmp_path / "nowhere.tsv", data)
    recipe.model.config.update(hidden_size=16, num_hidden_layers=1, num_attention_heads=2)
    recipe.out = str(tmp_path / "run")
    assert train(smoke(recipe)).folder == tmp_path / "run-smoke"


@both_boxes
def test_a_pair_is_measured_without_its_padding(body, rows, tmp_path):
    values = recipe_to_dict(recipe_on(body, rows, steps=2, checkpoint_every=2))
    values["against"], values["out"] = values["model"], str(tmp_path)
    pair = compare(recipe_from_dict(values))
    assert pair.parameter_ratio == 1
    if body.name.startswith("crate"):
        assert all(row.compression and row.nonzero for row in pair.rows)


@both_boxes
def test_rows_without_labels_are_named_before_any_work(body, rows, tmp_path):
    with pytest.raises(UserError, match="has no labels"):
        train(recipe_on(body, rows, {"label_column": "nothing"}), tmp_path / "never")
    assert not (tmp_path / "never" / "recipe.yaml").exists()
