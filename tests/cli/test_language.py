"""Language models on the command line, as a user types them."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.evaluation.tiny_language import byte_level, tiny_bert, tiny_gpt2
from typer.testing import CliRunner, Result

from whitebox_transformers_cli.app import app


def wbt(*arguments: object, typed: str | None = None) -> Result:
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


def test_generate_writes_prompt_and_continuation(gpt2):
    result = wbt("generate", gpt2, "the cat", "--tokens", 4, "--greedy")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("the cat")
    assert len(result.stdout) > len("the cat\n")
    assert "seed" not in result.stderr
    assert wbt("generate", gpt2, "-", "--tokens", 4, "--greedy", typed="the cat").stdout == (
        result.stdout
    )


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


def test_generate_refuses_masked_models_and_missing_folders(bert, tmp_path):
    for folder, said in ((bert, "fill-mask"), (tmp_path / "nothing", "nothing holds no model")):
        result = wbt("generate", folder, "the cat")
        assert result.exit_code == 2
        assert said in result.stderr
        assert len(result.stderr.splitlines()) == 1
