"""Texts of unequal length are measured as if each were alone: padding enters no number."""

from __future__ import annotations

import pytest
import torch
from tests.oracles.layerwise import sample_measures
from tests.unit.analysis.tiny_text import (
    PAD,
    VOCABULARY,
    padded,
    sentences,
    tiny_crate_bert,
    tiny_crate_gpt,
)
from transformers import BertConfig, BertModel, GPT2Config, GPT2LMHeadModel

from whitebox_transformers import (
    CrateBertForMultipleChoice,
    CrateBertForSequenceClassification,
    CrateBertModel,
)
from whitebox_transformers.analysis import (
    CHEAP,
    measure,
    neuron_statistics,
    untrained,
)
from whitebox_transformers.errors import UserError

LENGTHS = (5, 12, 7, 7, 1, 9)
HELP = {"position_embedding_type": "rotary", "window": 3, "attend_self": False, "final_norm": True}
MODELS = {
    "gpt": lambda: tiny_crate_gpt(),
    "gpt with help": lambda: tiny_crate_gpt(**HELP),
    "lm": lambda: tiny_crate_gpt(sparsification="overcomplete", final_norm=True),
    "attention only": lambda: tiny_crate_gpt(sparsification="none"),
    "bert": lambda: tiny_crate_bert(),
    "bert with a window": lambda: tiny_crate_bert(window=3, position_embedding_type="none"),
    "bert majorizer": lambda: tiny_crate_bert(sparsification="majorizer"),
}


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("name", MODELS)
def test_numbers_are_those_of_single_texts(name: str, side: str) -> None:
    model, alone = MODELS[name]().double(), sentences(*LENGTHS)
    model.config.pad_token_id = PAD
    batches = [padded(alone[:4], side), padded(alone[4:], side)]
    report = measure(model, batches)
    expected = [sample_measures(model, sentence[None]) for sentence in alone]
    assert report.count == len(alone)
    assert set(expected[0]) == set(report.curves) - {"nonzero-share-codes"}
    for key in expected[0]:
        values = torch.tensor([sample[key] for sample in expected], dtype=torch.float64)
        curve = report.curves[key]
        assert curve.mean == pytest.approx(values.mean(0).tolist(), rel=1e-7), key
        assert curve.std == pytest.approx(values.std(0).tolist(), rel=1e-5, abs=1e-9), key


@pytest.mark.parametrize("side", ["left", "right"])
def test_overcomplete_codes_of_padding_are_not_counted(side: str) -> None:
    model, alone = MODELS["lm"](), sentences(*LENGTHS)
    found = measure(model, [padded(alone, side)], ["nonzero-share-codes"])
    each = measure(model, [sentence[None] for sentence in alone], ["nonzero-share-codes"])
    mean = found.curves["nonzero-share-codes"].mean
    assert mean == pytest.approx(each.curves["nonzero-share-codes"].mean, rel=1e-6)
    together = neuron_statistics(model, [padded(alone, side)])
    singly = neuron_statistics(model, [{"input_ids": sentence[None]} for sentence in alone])
    for layer, statistics in together.items():
        torch.testing.assert_close(statistics.active, singly[layer].active)


def test_holes_in_a_text_are_padding_too() -> None:
    model, whole = tiny_crate_bert(position_embedding_type="none"), sentences(8)[0]
    ids = whole.clone()
    ids[3], ids[6] = PAD, PAD
    found = measure(model, [{"input_ids": ids[None], "attention_mask": (ids != PAD)[None]}])
    dense = measure(model, [whole[ids != PAD][None]])
    for key, curve in found.curves.items():
        assert curve.mean == pytest.approx(dense.curves[key].mean, rel=1e-4), key


@pytest.mark.parametrize("name", ["bert", "gpt-2"])
def test_black_boxes_of_text(name: str) -> None:
    model, alone = black_box(name).double().eval(), sentences(*LENGTHS[:4])
    found = measure(model, [padded(alone, "right")])
    each = measure(model, [sentence[None] for sentence in alone])
    assert set(found.curves) == {"rate-raw", "rate-unit", "nonzero-share", "norm-z"}
    for key, curve in found.curves.items():
        assert curve.mean == pytest.approx(each.curves[key].mean, rel=1e-7), key
        assert curve.std == pytest.approx(each.curves[key].std, rel=1e-5, abs=1e-9), key
    assert type(untrained(model)) is type(model)


def black_box(name: str):
    sizes = {"vocab_size": VOCABULARY, "num_hidden_layers": 2, "num_attention_heads": 3}
    torch.manual_seed(0)
    if name == "bert":
        config = BertConfig(**sizes, hidden_size=12, intermediate_size=24, pad_token_id=PAD)
        return BertModel(config, add_pooling_layer=False)
    config = GPT2Config(
        vocab_size=VOCABULARY, n_layer=2, n_head=3, n_embd=12, bos_token_id=0, eos_token_id=0
    )
    return GPT2LMHeadModel(config)


def test_choices_are_samples_of_their_own() -> None:
    model = tiny_crate_bert(kind=CrateBertForMultipleChoice)
    flat = padded(sentences(5, 9, 7, 3), "right")
    choices = {key: value.unflatten(0, (2, 2)) for key, value in flat.items()}
    found = measure(model, [choices | {"labels": torch.zeros(2, dtype=torch.long)}])
    encoder = measure(model.crate, [flat])
    assert found.count == 4
    for key, curve in found.curves.items():
        assert curve.mean == pytest.approx(encoder.curves[key].mean, rel=1e-6), key


def test_vectors_in_place_of_ids() -> None:
    model, batch = tiny_crate_gpt(), padded(sentences(4, 6), "left")
    vectors = model.get_input_embeddings()(batch["input_ids"]).detach()
    found = measure(model, [{"attention_mask": batch["attention_mask"], "inputs_embeds": vectors}])
    assert found == measure(model, [batch])


def test_a_mask_of_pairs_marks_no_padding() -> None:
    model, ids = tiny_crate_bert(), torch.stack(sentences(6, 6))
    pairs = torch.ones(2, 1, 6, 6, dtype=torch.bool)
    found = measure(model, [{"input_ids": ids, "attention_mask": pairs}], CHEAP)
    assert found.curves.keys() == set(CHEAP)
    assert found.curves == measure(model, [ids], CHEAP).curves


def test_a_sample_of_padding_alone_is_named() -> None:
    batch = padded(sentences(4, 6), "right")
    batch["attention_mask"][1] = 0
    for look in (lambda: measure(tiny_crate_gpt(), [batch]),
                 lambda: neuron_statistics(tiny_crate_gpt(), [batch])):  # fmt: skip
        with pytest.raises(UserError, match="sample 1 of a batch is nothing but padding"):
            look()


@pytest.mark.parametrize("pooled", [True, False])
def test_the_control_of_an_encoder_has_a_pooler_where_the_model_has_one(pooled: bool) -> None:
    model = CrateBertModel(tiny_crate_bert().config, add_pooling_layer=pooled)
    control = untrained(model)
    assert control.state_dict().keys() == model.state_dict().keys()


@pytest.mark.parametrize(
    "make", [tiny_crate_gpt, lambda: tiny_crate_bert(kind=CrateBertForSequenceClassification)]
)
def test_the_control_of_a_text_model(make) -> None:
    model, batch = make(), padded(sentences(4, 6), "right")
    control, same, other = untrained(model), untrained(model), untrained(model, seed=1)
    assert type(control) is type(model)
    first = [m.crate.stack.layers[0].sparsify.ista.dictionary for m in (control, same, other)]
    assert torch.equal(first[0], first[1])
    assert not torch.equal(first[0], first[2])
    assert control.crate.embeddings.word_embeddings.weight.std() > 0
    assert measure(control, [batch]).curves.keys() == measure(model, [batch]).curves.keys()
