"""Texts answered one by one as one forward pass without padding would."""

from __future__ import annotations

import pytest
import torch
from tests.unit.evaluation.tiny_language import byte_level, framed
from transformers import AutoModelForSequenceClassification, BertConfig
from typer.testing import CliRunner

from whitebox_transformers.crate import CrateBertConfig
from whitebox_transformers.errors import UserError
from whitebox_transformers.evaluation.predict_texts import predict_texts
from whitebox_transformers_cli.app import app

TEXTS = ["the cat sat", "the dog lay under the mat and the cat", "crème"]
SIZES = {"hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 3}


def classifier(folder, kind, **fields):
    tokenizer = framed(
        byte_level(pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]"), "[CLS] $A [SEP]"
    )
    config = kind(
        **SIZES,
        vocab_size=len(tokenizer),
        pad_token_id=tokenizer.pad_token_id,
        max_position_embeddings=40,
        **fields,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = AutoModelForSequenceClassification.from_config(config)
        for parameter in model.parameters():  # so that texts differ
            torch.nn.init.normal_(parameter, std=0.5)
    model.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model, tokenizer


@pytest.mark.parametrize("kind", [CrateBertConfig, BertConfig])
def test_classes_with_their_probabilities_most_probable_first(kind, tmp_path):
    names = {0: "kind", 1: "unkind", 2: "neither"}
    model, tokenizer = classifier(tmp_path, kind, id2label=names)
    found = predict_texts(tmp_path, TEXTS)
    assert [one.text for one in found] == TEXTS
    for one in found:
        with torch.no_grad():
            logits = model(**tokenizer(one.text, return_tensors="pt")).logits[0]
        shares = {names[i]: share for i, share in enumerate(logits.softmax(-1).tolist())}
        assert one.probabilities == pytest.approx(shares, abs=1e-5)
        assert list(one.probabilities) == sorted(shares, key=lambda name: -shares[name])
        assert one.number is None
    assert len({one.probabilities["kind"] for one in found}) == len(TEXTS)


def test_numbers_of_pairs(tmp_path):
    model, tokenizer = classifier(
        tmp_path, CrateBertConfig, num_labels=1, problem_type="regression"
    )
    (one,) = predict_texts(tmp_path, TEXTS[:1], TEXTS[1:2])
    with torch.no_grad():
        expected = model(**tokenizer(TEXTS[0], TEXTS[1], return_tensors="pt")).logits.item()
    assert one.number == pytest.approx(expected, abs=1e-5)
    assert (one.pair, one.probabilities) == (TEXTS[1], {})


def test_a_text_beyond_the_context_is_refused_or_cut_on_request(tmp_path):
    classifier(tmp_path, BertConfig)
    long = "x" * 39  # no merges: one token each, and two around them
    with pytest.raises(UserError, match="has 41 tokens.*at most 40.*--truncate"):
        predict_texts(tmp_path, [long])
    cut, shorter = predict_texts(tmp_path, [long, long[:38]], truncate=True)
    assert cut.probabilities == shorter.probabilities


def test_what_classifies_no_texts_is_refused(tmp_path):
    with pytest.raises(UserError, match="holds no model"):
        predict_texts(tmp_path / "nothing", TEXTS)
    model, _ = classifier(tmp_path, BertConfig)
    with pytest.raises(UserError, match="no text is named"):
        predict_texts(tmp_path, [])
    model.config.architectures = ["BertForMaskedLM"]
    model.config.save_pretrained(tmp_path)
    with pytest.raises(UserError, match="BertForMaskedLM, which does not classify texts"):
        predict_texts(tmp_path, TEXTS)


def test_wbt_predict_of_texts(tmp_path):
    classifier(tmp_path, CrateBertConfig, id2label={0: "kind", 1: "unkind"})
    result = CliRunner().invoke(app, ["predict", str(tmp_path), *TEXTS, "--top", "1"])
    assert result.exit_code == 0, result.output
    assert all(text in result.stdout for text in TEXTS)
    assert result.stdout.count("%") == len(TEXTS)
    result = CliRunner().invoke(app, ["predict", str(tmp_path), *TEXTS, "--pairs"])
    assert result.exit_code == 2
    assert "3 texts are no pairs" in result.stderr
