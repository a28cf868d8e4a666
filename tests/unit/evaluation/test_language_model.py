"""Which model is loaded as what, and which tokenizer does not belong to it."""

from __future__ import annotations

import json

import pytest
from tests.unit.evaluation.tiny_language import byte_level, framed, tiny_bert, tiny_gpt2
from transformers import BertForSequenceClassification, RobertaConfig

from whitebox_transformers.errors import UserError
from whitebox_transformers.evaluation.language_model import (
    kind_of,
    load_language_model,
    longest_sequence,
)


def saved(language, folder):
    language.model.save_pretrained(folder)
    language.tokenizer.save_pretrained(folder)
    return folder


def test_a_folder_gives_its_model_and_tokenizer(tmp_path):
    for made, kind in ((tiny_gpt2(), "causal"), (tiny_bert(), "masked")):
        language = load_language_model(saved(made, tmp_path / kind), device="cpu")
        assert language.kind == kind
        assert type(language.model) is type(made.model)
        assert not language.model.training
        assert language.context == 16
        assert language.tokenizer("the cat")["input_ids"] == made.tokenizer("the cat")["input_ids"]


def test_special_tokens_are_found_around_a_text():
    bert = tiny_bert()
    assert bert.tokenizer.convert_ids_to_tokens(bert.opening) == ["[CLS]"]
    assert bert.tokenizer.convert_ids_to_tokens(bert.closing) == ["[SEP]"]
    assert tiny_gpt2().opening == tiny_gpt2().closing == []
    opened = tiny_gpt2(framed(byte_level(), "<s> <s> $A"))
    assert opened.opening == [0, 0]


def test_positions_before_the_padding_token_s_do_not_count():
    config = RobertaConfig(max_position_embeddings=514, pad_token_id=1)
    assert longest_sequence(config) == 512
    assert longest_sequence(config, byte_level(model_max_length=100)) == 100
    config = tiny_gpt2().model.config
    assert longest_sequence(config, byte_level()) == 16


def test_folders_that_cannot_be_used_are_named(tmp_path):
    with pytest.raises(UserError, match=r"nothing holds no model"):
        load_language_model(tmp_path / "nothing")
    language = tiny_gpt2()
    language.model.save_pretrained(tmp_path / "bare")
    with pytest.raises(UserError, match=r"bare: cannot load .*: there is no tokenizer.json"):
        load_language_model(tmp_path / "bare")
    mixed = saved(tiny_gpt2(vocab_size=100), tmp_path / "mixed")
    with pytest.raises(UserError, match=r"up to number 2\d\d, but the model knows 100"):
        load_language_model(mixed)
    classifier = BertForSequenceClassification(tiny_bert().model.config)
    classifier.save_pretrained(tmp_path / "classifier")
    with pytest.raises(UserError, match="BertForSequenceClassification, which gives no prob"):
        load_language_model(tmp_path / "classifier")


def test_a_configuration_without_a_class_is_taken_by_its_type(tmp_path):
    folder = saved(tiny_gpt2(), tmp_path / "gpt2")
    config = json.loads((folder / "config.json").read_text())
    del config["architectures"]
    (folder / "config.json").write_text(json.dumps(config))
    assert load_language_model(folder, device="cpu").kind == "causal"
    config = tiny_bert().model.config
    config.architectures = None
    assert kind_of(config, "bert") == "masked"
