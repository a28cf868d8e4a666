"""CRATE-BERT converts with any head or none: the authors' function, every weight accounted for."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save_file
from tests.oracles.authors_language import bert_head, bert_pooled, bert_tokens, random_bert
from tests.unit.convert.files import relative_error, save
from tokenizers import Tokenizer, models
from transformers import AutoTokenizer, PreTrainedModel

from whitebox_transformers import crate
from whitebox_transformers.convert import convert
from whitebox_transformers.errors import UserError

KINDS = {
    "none": crate.CrateBertModel,
    "pooler": crate.CrateBertModel,
    "mlm": crate.CrateBertForMaskedLM,
    "sequence": crate.CrateBertForSequenceClassification,
    "tokens": crate.CrateBertForTokenClassification,
    "answers": crate.CrateBertForQuestionAnswering,
    "choice": crate.CrateBertForMultipleChoice,
}
# Padding on the right, and one sentence without any.
IDS = torch.tensor([[0, 5, 9, 2, 1, 1], [0, 7, 7, 16, 4, 2]])
MASK = (IDS != 1).long()


def prefix_of(head: str) -> str:
    return "" if head in ("none", "pooler") else "crate."


def bert(head: str = "mlm", **shape) -> dict[str, torch.Tensor]:
    return random_bert(head=head, prefix=prefix_of(head), **shape)


def reload(folder, kind: type[PreTrainedModel], **kwargs) -> PreTrainedModel:
    model, info = kind.from_pretrained(folder, output_loading_info=True, **kwargs)
    assert not any(info.values()), info
    return model


def results(model, head: str, **inputs) -> torch.Tensor:
    """What the head computes, in the oracle's shape."""
    if head == "choice":
        inputs = {name: value[None] for name, value in inputs.items()}
        return model(**inputs).logits.mT
    outputs = model(**inputs)
    if head == "answers":
        return torch.stack([outputs.start_logits, outputs.end_logits], dim=-1)
    if head in ("none", "pooler"):
        return outputs.last_hidden_state if head == "none" else outputs.pooler_output
    return outputs.logits


def expected(state, head: str, heads: int, eps=1e-12, **inputs) -> torch.Tensor:
    prefix = prefix_of(head)
    z = bert_tokens(state, IDS, heads=heads, mask=MASK, eps=eps, prefix=prefix, **inputs)
    if head == "none":
        return z
    if head == "pooler":
        return bert_pooled(state, z, prefix)
    return bert_head(state, z, head, eps=eps, prefix=prefix)


@pytest.mark.parametrize("head", KINDS)
def test_every_head_computes_the_authors_function(head, tmp_path):
    state = bert(head)
    types = torch.tensor([[0, 0, 1, 1, 0, 0], [0, 1, 1, 1, 1, 0]])
    report = convert(save(tmp_path / "bert.bin", state), tmp_path / "out", heads=3)
    assert set(report.used) == set(state)
    assert not report.dropped
    pooling = {"add_pooling_layer": False} if head == "none" else {}
    model = reload(tmp_path / "out", KINDS[head], **pooling)

    leaves = {key: value.clone().requires_grad_() for key, value in state.items()}
    wanted = expected(leaves, head, heads=3, types=types)
    found = results(model, head, input_ids=IDS, attention_mask=MASK, token_type_ids=types)
    if wanted.shape[:2] == IDS.shape:  # what stands at padding is nobody's business
        wanted, found = wanted[MASK.bool()], found[MASK.bool()]
    assert relative_error(found, wanted) < 1e-5

    wanted.logsumexp(-1).sum().backward()
    found.logsumexp(-1).sum().backward()
    parameters = dict(model.named_parameters())
    assert set(report.used.values()) == set(parameters)
    for old, new in report.used.items():
        assert relative_error(parameters[new].grad, leaves[old].grad) < 1e-4, old


@pytest.mark.parametrize(
    ("shape", "heads", "said"),
    [
        ({"width": 8, "depth": 1, "types": 1}, 1, {}),
        ({"width": 8, "depth": 3}, 8, {"step_size": 0.3, "threshold": 0.5}),
        ({"width": 10, "positions": 20}, 5, {"pad_token_id": 3}),
        ({"width": 12}, 4, {"embedding_norm_eps": 0.5}),
    ],
    ids=["one-head", "steps", "pad", "eps"],
)
def test_odd_shapes_and_what_the_user_says(shape, heads, said, tmp_path):
    state = bert("mlm", **shape)
    report = convert(save(tmp_path / "bert.bin", state), tmp_path / "out", heads=heads, **said)
    model = reload(tmp_path / "out", KINDS["mlm"])
    pad, eps = said.get("pad_token_id", 1), said.get("embedding_norm_eps", 1e-12)
    ids = IDS.masked_fill(IDS == 1, pad)
    z = bert_tokens(
        state, ids, heads=heads, mask=MASK, pad=pad, eps=eps,
        eta=said.get("step_size", 0.1), lam=said.get("threshold", 0.1),
    )  # fmt: skip
    wanted = bert_head(state, z, "mlm", eps=eps)
    found = model(ids, MASK).logits
    assert relative_error(found[MASK.bool()], wanted[MASK.bool()]) < 1e-5
    assert "published default" in str(report) or len(said) == 4


def test_the_bare_encoder_without_a_pooler_says_how_to_load_it(tmp_path):
    report = convert(save(tmp_path / "bert.bin", bert("none")), tmp_path / "out", heads=2)
    assert "add_pooling_layer=False" in str(report)
    assert "add_pooling_layer=False" in (tmp_path / "out" / "README.md").read_text()


@pytest.mark.parametrize("head", ["mlm", "sequence", "tokens", "answers"])
def test_a_pooler_beside_a_head_that_does_not_apply_it_is_listed(head, tmp_path):
    """Token classification with a pooler would be multiple choice, whose classifier has one row."""
    state = bert(head) | {
        "crate.pooler.dense.weight": torch.randn(12, 12),
        "crate.pooler.dense.bias": torch.randn(12),
    }
    file = save(tmp_path / "bert.bin", state)
    if head == "tokens":
        with pytest.raises(UserError, match=r"'classifier.weight' has shape \(3, 12\); expected"):
            convert(file, tmp_path / "out", heads=2)
        return
    report = convert(file, tmp_path / "out", heads=2)
    assert set(report.dropped) == {"crate.pooler.dense.weight", "crate.pooler.dense.bias"}
    assert "no pooler" in str(report)


def test_tied_weights_may_stand_in_the_file_twice_but_not_differ(tmp_path):
    state = bert("mlm")
    words, bias = state["crate.embeddings.word_embeddings.weight"], state["lm_head.bias"]
    twice = state | {"lm_head.decoder.weight": words.clone(), "lm_head.decoder.bias": bias.clone()}
    report = convert(save(tmp_path / "twice.bin", twice), tmp_path / "twice", heads=3)
    assert set(report.used) == set(twice)
    model = reload(tmp_path / "twice", KINDS["mlm"])
    assert model.lm_head.decoder.weight is model.crate.embeddings.word_embeddings.weight
    assert torch.equal(model.lm_head.decoder.bias, bias)

    moved = {key: value for key, value in twice.items() if key != "lm_head.bias"}
    convert(save(tmp_path / "moved.bin", moved), tmp_path / "moved", heads=3)
    for key in ("lm_head.decoder.weight", "lm_head.decoder.bias"):
        other = save(tmp_path / "other.bin", twice | {key: twice[key] + 1})
        with pytest.raises(UserError, match="differ; the authors' model holds one weight"):
            convert(other, tmp_path / "other", heads=3)
    assert not (tmp_path / "other").exists()


def refused(tmp_path, state, match, **said):
    with pytest.raises(UserError, match=match) as caught:
        convert(save(tmp_path / "file.bin", state), tmp_path / "out", **said)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("head", KINDS)
def test_any_missing_or_unknown_weight_is_an_error(head, tmp_path):
    state = bert(head, depth=1)
    optional = set()
    if head == "pooler":  # without both the file is the encoder without a pooler
        optional = {"pooler.dense.weight", "pooler.dense.bias"}
    for key in state.keys() - optional:
        rest = {name: value for name, value in state.items() if name != key}
        refused(tmp_path, rest, "without|looks like|expected|has no place", heads=3)
    unknown = state | {"encoder.adapter.weight": torch.zeros(2, 2)}
    refused(tmp_path, unknown, "no place for: encoder.adapter.weight", heads=3)


def test_heads_are_asked_for_and_shapes_are_checked(tmp_path):
    refused(tmp_path, bert(), "give --heads; 12 rows of projections allow 1, 2, 3, 4, 6, 12")
    refused(tmp_path, bert(), "--heads 5 does not fit", heads=5)
    narrow = bert() | {"crate.encoder.layer.0.attention.self.qkv.weight": torch.randn(6, 12)}
    refused(tmp_path, narrow, r"qkv.weight' has shape \(6, 12\); expected \(12, 12\)", heads=3)
    biased = bert() | {"crate.encoder.layer.1.attention.output.dense.bias": torch.zeros(12)}
    refused(tmp_path, biased, "no place for: .*dense.bias", heads=3)
    refused(tmp_path, bert(positions=3), "leave none for tokens", heads=3, pad_token_id=2)
    refused(tmp_path, bert(), "pad_token_id=40 is not in a vocabulary", heads=3, pad_token_id=40)
    refused(tmp_path, bert(), "--image-size says nothing about a CRATE-BERT", image_size=4)


def test_an_ordinary_bert_is_no_crate(tmp_path):
    keys = ("bert.embeddings.word_embeddings.weight", "bert.encoder.layer.0.output.dense.weight")
    refused(tmp_path, {key: torch.zeros(2, 2) for key in keys}, "looks like nothing known")


def folder(tmp_path, **configuration):
    home = tmp_path / "source"
    home.mkdir()
    save_file(bert("sequence", labels=2), home / "model.safetensors")
    (home / "config.json").write_text(json.dumps({"num_attention_heads": 3} | configuration))
    return home


def test_the_configuration_beside_the_file_decides(tmp_path):
    names = {"0": "bad", "1": "good"}
    home = folder(
        tmp_path,
        layer_norm_eps=1e-5,
        pad_token_id=0,
        hidden_dropout_prob=0.25,
        id2label=names,
        label2id={"bad": 0, "good": 1},
    )
    report = convert(home / "model.safetensors", tmp_path / "out")
    config = reload(tmp_path / "out", KINDS["sequence"]).config
    assert (config.num_attention_heads, config.embedding_norm_eps, config.pad_token_id) == (
        3,
        1e-5,
        0,
    )
    assert config.hidden_dropout_prob == 0.25
    assert config.id2label == {0: "bad", 1: "good"}
    assert "pad_token_id = 0  (metadata)" in str(report)


@pytest.mark.parametrize(
    ("configuration", "match"),
    [
        ({"hidden_dropout_prob": 7}, "hidden_dropout_prob=7 must be in"),
        ({"layer_norm_eps": "small"}, "embedding_norm_eps"),
        ({"pad_token_id": 99}, "pad_token_id=99 is not in a vocabulary of 19"),
        ({"num_hidden_layers": 3}, "says num_hidden_layers = 3, but its weights make it 2"),
        ({"type_vocab_size": 1}, "says type_vocab_size = 1, but its weights make it 2"),
    ],
)
def test_a_configuration_that_makes_no_model_is_refused(configuration, match, tmp_path):
    home = folder(tmp_path, **configuration)
    with pytest.raises(UserError, match=match):
        convert(home / "model.safetensors", tmp_path / "out")


@pytest.mark.parametrize("content", ["{", "[1]"])
def test_a_broken_configuration_is_named(content, tmp_path):
    home = folder(tmp_path)
    (home / "config.json").write_text(content)
    with pytest.raises(UserError, match=r"config\.json"):
        convert(home / "model.safetensors", tmp_path / "out", heads=3)


def words(count: int) -> Tokenizer:
    return Tokenizer(models.WordLevel({f"w{i}": i for i in range(count)}, unk_token="w0"))


def test_the_tokenizer_beside_the_file_goes_with_it(tmp_path):
    home = folder(tmp_path)
    words(19).save(str(home / "tokenizer.json"))
    report = convert(home / "model.safetensors", tmp_path / "out")
    assert not report.notes
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert tokenizer.convert_tokens_to_ids("w7") == 7


def test_a_tokenizer_of_another_model_or_no_tokenizer_at_all(tmp_path):
    home = folder(tmp_path)
    words(20).save(str(home / "tokenizer.json"))
    with pytest.raises(UserError, match="has 20 tokens, but the model's vocabulary has 19"):
        convert(home / "model.safetensors", tmp_path / "out")
    (home / "tokenizer.json").write_text("{}")
    with pytest.raises(UserError, match="tokenizer in .* cannot be read"):
        convert(home / "model.safetensors", tmp_path / "out")
    (home / "tokenizer.json").unlink()
    report = convert(home / "model.safetensors", tmp_path / "out")
    assert "no tokenizer" in str(report)
    assert "RoBERTa" in str(report)
