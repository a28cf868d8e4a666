"""Language models on the command line, as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.learn.tiny_text_run import tiny_text_recipe, write_language
from tests.unit.analysis.tiny_text import tiny_crate_gpt
from tests.unit.evaluation.tiny_language import byte_level, tiny_bert, tiny_gpt2
from typer.testing import CliRunner, Result

from whitebox_transformers.training.run import train
from whitebox_transformers_cli.app import app


def wbt(*arguments: object, typed: str | bytes | None = None) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], input=typed)


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("language") / "gpt2"
    language = tiny_gpt2(byte_level(eos_token="<s>"))
    language.model.save_pretrained(folder)
    language.tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def bert(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("language") / "bert"
    language = tiny_bert()
    language.model.save_pretrained(folder)
    language.tokenizer.save_pretrained(folder)
    return folder


def test_a_run_on_text_is_looked_into(tmp_path, monkeypatch):
    monkeypatch.setattr("whitebox_transformers.report.inspect.write_figures", lambda *_: [])
    text = write_language(tmp_path / "text")
    recipe = tiny_text_recipe("causal-lm", "crate-gpt", text, steps=2, accumulate=1, device="cpu")
    recipe.out = str(tmp_path / "run")
    train(recipe)
    shown = ("--text", "a dog", "--text", "the cat", "--samples", 3)
    result = wbt("inspect", tmp_path / "run", *shown)
    assert result.exit_code == 0, result.output
    stored = json.loads((tmp_path / "run/inspection/layers.json").read_text(encoding="utf-8"))
    assert ["".join(item["tokens"]) for item in stored["predictions"]] == ["a dog", "the cat"]
    looked = wbt("neurons", tmp_path / "run", "--top", 2, "--samples", 4)
    assert looked.exit_code == 0, looked.output
    stored = json.loads((tmp_path / "run/neurons/neurons.json").read_text(encoding="utf-8"))
    assert stored["looked_at"]["samples"] == 4
    refused = wbt("inspect", tmp_path / "run", "--images", "cat.png")
    assert refused.exit_code == 2
    assert "shows no images" in refused.stderr


def test_neurons_writes_numbers_and_a_page(tmp_path):
    tokenizer = byte_level(eos_token="<s>")
    tiny_crate_gpt(vocab_size=len(tokenizer)).save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    text = tmp_path / "text.txt"
    text.write_text("the cat sat on the mat\n" * 5, encoding="utf-8")
    options = ("--layer", -1, "--neuron", 3, "--set", 2.5, "--data", text)
    result = wbt("neurons", tmp_path / "model", *options)
    assert result.exit_code == 0, result.output
    stored = json.loads((tmp_path / "model/neurons/neurons.json").read_text(encoding="utf-8"))
    assert [(n["layer"], n["neuron"]) for n in stored["neurons"]] == [(3, 3)]
    assert "set to 2.5" in stored["protocol"]["changes"]
    assert (tmp_path / "model/neurons/index.html").is_file()


def test_neurons_tries_numbers_only(gpt2):
    for option, value in (("--scale", "nan"), ("--set", "inf")):
        result = wbt("neurons", gpt2, option, value)
        assert result.exit_code == 2
        assert "expected a finite one" in result.stderr


def test_neurons_refuses_a_black_box(gpt2, tmp_path):
    (tmp_path / "text.txt").write_text("the cat", encoding="utf-8")
    result = wbt("neurons", gpt2, "--data", tmp_path / "text.txt")
    assert result.exit_code == 2
    assert "no CRATE layers" in result.stderr
    assert not (gpt2 / "neurons").exists()


def test_generate_writes_prompt_and_continuation(gpt2):
    result = wbt("generate", gpt2, "the cat", "--tokens", 4, "--greedy")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("the cat")
    assert len(result.stdout) > len("the cat\n")
    assert "seed" not in result.stderr
    assert wbt("generate", gpt2, "-", "--tokens", 4, "--greedy", typed="the cat").stdout == (
        result.stdout
    )


def test_generate_goes_on_from_several_prompts_together(gpt2):
    result = wbt("generate", gpt2, "the cat", "a", "--tokens", 4, "--greedy")
    assert result.exit_code == 0, result.output
    alone = [wbt("generate", gpt2, text, "--tokens", 4, "--greedy") for text in ("the cat", "a")]
    assert result.stdout == "".join(f"{one.stdout}\n" for one in alone)
    refused = wbt("generate", gpt2, "a", "the cat " * 20)
    assert refused.exit_code == 2
    assert "--truncate" in refused.stderr
    cut = wbt("generate", gpt2, "a", "the cat " * 20, "--tokens", 3, "--greedy", "--truncate")
    assert "tokens of prompt 2 were dropped" in cut.stderr


def test_generate_tells_the_seed_that_repeats_it(gpt2):
    first = wbt("generate", gpt2, "the cat", "--temperature", 3)
    seed = first.stderr.strip().removeprefix("seed: ")
    again = wbt("generate", gpt2, "the cat", "--temperature", 3, "--seed", seed)
    assert again.stdout == first.stdout
    assert again.stderr == ""


def test_generate_drops_the_beginning_of_a_long_prompt_only_when_told(gpt2):
    refused = wbt("generate", gpt2, "the cat " * 20)
    assert refused.exit_code == 2
    assert "--truncate" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    result = wbt("generate", gpt2, "the cat " * 20, "--tokens", 3, "--seed", 1, "--truncate")
    assert result.exit_code == 0, result.output
    assert "tokens of the prompt were dropped" in result.stderr


def test_prompts_that_are_not_utf_8_are_told_of(gpt2):
    # As the shell hands over bytes of another encoding, and as they are piped.
    for result in (wbt("generate", gpt2, "\udcff"), wbt("generate", gpt2, "-", typed=b"\xff")):
        assert result.exit_code == 2
        assert "'\\udcff' is not UTF-8" in result.stderr
        assert len(result.stderr.splitlines()) == 1


def test_generate_refuses_masked_models_and_missing_folders(bert, tmp_path):
    for folder, said in ((bert, "fill-mask"), (tmp_path / "nothing", "nothing holds no model")):
        result = wbt("generate", folder, "the cat")
        assert result.exit_code == 2
        assert said in result.stderr
        assert len(result.stderr.splitlines()) == 1


@pytest.fixture
def text(tmp_path) -> Path:
    path = tmp_path / "a.txt"
    path.write_text("the cat sat on the mat\nthe dog lay under the cat\n")
    return path


def test_eval_of_texts_prints_the_score_and_where_it_is(gpt2, text, tmp_path):
    other = tmp_path / "b.txt"
    other.write_text("on the mat")
    result = wbt("eval", gpt2, "--data", text, other, "--context", 8, "--stride", 4)
    assert result.exit_code == 0, result.output
    assert "bits per byte" in result.stdout
    (file,) = (gpt2 / "scores").glob("a.txt-and-1-more-context8-stride4-*.json")
    assert str(file) in result.stdout
    assert json.loads(file.read_text())["texts"] == 2
    options = ("--separator", r"\n", "--join", "--context", 8)
    result = wbt("eval", gpt2, "--data", text, *options)
    assert result.exit_code == 0, result.output
    (file,) = (gpt2 / "scores").glob("a.txt-context8-stride4-separated-joined-*.json")
    stored = json.loads(file.read_text())
    assert (stored["texts"], stored["protocol"]["tokenizer"]["end"]) == (1, "<s>")


def test_eval_of_passages(gpt2, text, tmp_path):
    out = tmp_path / "score.json"
    result = wbt("eval", gpt2, "--data", text, "--lambada", "--out", out)
    assert result.exit_code == 0, result.output
    assert "last word, greedy" in result.stdout
    assert "last_word_accuracy" in json.loads(out.read_text())


def test_eval_of_a_column(bert, tmp_path):
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"words": "the cat sat"}\n{"words": "on the mat"}\n')
    result = wbt("eval", bert, "--data", rows, "--column", "words", "--out", tmp_path / "s.json")
    assert result.exit_code == 0, result.output
    assert "perplexity" in result.stdout


def test_eval_refuses_in_one_line(gpt2, text, tmp_path):
    latin = tmp_path / "latin.txt"
    latin.write_bytes("crème".encode("latin-1"))
    for arguments, said in (
        (["--data", latin], "not UTF-8"),
        (["--data", tmp_path / "no.txt"], "is not a file"),
        (["--data", text, "--context", 99], "at most 16"),
        (["--data", text, "--stride", 99], "stride of 99"),
        (["--data", text, "--out", tmp_path], "is a folder"),
    ):
        result = wbt("eval", gpt2, *arguments)
        assert result.exit_code == 2
        assert said in result.stderr
        assert len(result.stderr.splitlines()) == 1
    result = wbt("eval", gpt2, "--stride", 4)
    assert result.exit_code == 2
    assert "--data" in result.stderr
