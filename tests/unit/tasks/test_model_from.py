"""A `model.from` that cannot be used is refused before any work, in one line that says why."""

from __future__ import annotations

import re

import pytest
from tests.learn.tiny_text_run import CONFIGS, tiny_text_recipe, write_language
from tests.unit.evaluation.tiny_language import byte_level
from transformers import BertConfig, BertForMaskedLM, ViTConfig

from whitebox_transformers.crate import CrateMAEConfig
from whitebox_transformers.errors import UserError
from whitebox_transformers.tasks.masked_autoencoding import MaskedAutoencoding
from whitebox_transformers.training.families import ModelConfig, build_config
from whitebox_transformers.training.recipe import recipe_from_dict, recipe_to_dict
from whitebox_transformers.training.run import train


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    return write_language(tmp_path_factory.mktemp("text") / "language")


@pytest.fixture
def body(tmp_path):
    """A BERT without a tokenizer."""
    path = tmp_path / "body"
    BertForMaskedLM(BertConfig(**CONFIGS["bert"], vocab_size=300)).save_pretrained(path)
    return path


def refused(match, body, text, tmp_path, family="bert"):
    values = recipe_to_dict(tiny_text_recipe("masked-lm", family, text))
    values["model"] = {"family": family, "from": str(body)}
    with pytest.raises(UserError, match=match) as caught:
        train(recipe_from_dict(values), tmp_path / "never")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "never" / "recipe.yaml").exists()


def test_nothing_there(text, tmp_path):
    nothing = tmp_path / "nothing"
    for _ in range(2):  # no folder, then an empty one
        refused(f"model.from={re.escape(str(nothing))}: no model there", nothing, text, tmp_path)
        nothing.mkdir(exist_ok=True)


def test_a_run_that_is_not_finished(text, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "recipe.yaml").write_text("name: run\n")
    refused("model.from=.*run is not finished; `wbt train`", run, text, tmp_path)


def test_a_model_of_another_kind(body, text, tmp_path):
    refused("holds a model of type 'bert', not 'crate-bert'; change model.family", body, text,
            tmp_path, "crate-bert")  # fmt: skip
    ViTConfig().save_pretrained(tmp_path / "vit")
    refused("holds a model of type 'vit', not 'bert'", tmp_path / "vit", text, tmp_path)


def test_another_number_of_layers(tmp_path):
    """Of an image model it was refused by the names of its stages, of others taken in silence."""
    CrateMAEConfig(num_hidden_layers=3).save_pretrained(tmp_path / "mae")
    family, said = MaskedAutoencoding.families["crate-mae"], str(tmp_path / "mae")
    model = ModelConfig(family="crate-mae", from_=said, config={"num_hidden_layers": 2})
    with pytest.raises(UserError, match=r"num_hidden_layers=2, but model\.from=.* has 3 layers"):
        build_config(model, family, {})
    model.config["num_hidden_layers"] = 3
    assert build_config(model, family, {}).num_hidden_layers == 3


def test_a_model_without_its_tokenizer(body, text, tmp_path):
    refused(
        "there is no tokenizer.json; save the one the model was trained with", body, text, tmp_path
    )


def test_a_tokenizer_with_more_tokens_than_the_model(body, text, tmp_path):
    tokenizer = byte_level(mask_token="[MASK]", pad_token="[PAD]", sep_token="[SEP]")
    tokenizer.add_tokens([f"more{number}" for number in range(200)])
    tokenizer.save_pretrained(body)
    refused("the tokenizer has tokens up to number .*the model knows 300", body, text, tmp_path)
