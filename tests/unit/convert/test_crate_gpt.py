"""CRATE-GPT and CRATE-LM convert to the authors' function; only the causal mask is dropped."""

from __future__ import annotations

import json

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from tests.oracles.authors_language import causal_mask, gpt_logits, random_gpt
from tests.unit.convert.files import relative_error, save
from tokenizers import Tokenizer, models
from transformers import AutoModelForCausalLM, AutoTokenizer, pipeline

from whitebox_transformers.convert import convert
from whitebox_transformers.crate import CrateGPTForCausalLM
from whitebox_transformers.errors import UserError

IDS = torch.tensor([[3, 22, 0, 7, 7, 1, 19], [5, 5, 9, 2, 16, 4, 0]])


def reload(folder) -> CrateGPTForCausalLM:
    model, info = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    assert not any(info.values()), info
    assert isinstance(model, CrateGPTForCausalLM)
    return model.eval()


@pytest.mark.parametrize(
    ("shape", "heads", "said"),
    [
        ({}, 3, {}),
        ({"ratio": 4}, 2, {}),
        ({"ratio": 3, "width": 10, "depth": 3}, 5, {"step_size": 0.3, "threshold": 0.5}),
        ({"width": 8, "depth": 1, "context": 9}, 1, {"step_size": 0.05}),
        ({"width": 6, "depth": 4, "vocab": 40}, 6, {"threshold": 0.0}),
        ({"ratio": 2, "width": 8, "depth": 1}, 8, {}),
    ],
    ids=["gpt", "lm", "lm-steps", "one-head", "narrow-heads", "lm-ratio-2"],
)
def test_logits_and_gradients_are_the_authors(shape, heads, said, tmp_path):
    state = random_gpt(**shape)
    report = convert(save(tmp_path / "ckpt.pt", state), tmp_path / "out", heads=heads, **said)
    assert set(report.used) == set(state)
    assert not report.dropped
    model = reload(tmp_path / "out")

    leaves = {key: value.clone().requires_grad_() for key, value in state.items()}
    eta, lam = said.get("step_size", 0.1), said.get("threshold", 0.1)
    wanted = gpt_logits(leaves, IDS, heads=heads, eta=eta, lam=lam)
    found = model(IDS).logits
    assert relative_error(found, wanted) < 1e-5

    wanted.logsumexp(-1).sum().backward()
    found.logsumexp(-1).sum().backward()
    parameters = dict(model.named_parameters())
    assert set(report.used.values()) == set(parameters)
    for old, new in report.used.items():
        gradient = leaves[old].grad
        if shape.get("ratio") and old.endswith("ista.weight"):
            gradient = gradient.T
        assert relative_error(parameters[new].grad, gradient) < 1e-4, old


@pytest.mark.parametrize(("case", "heads"), [("crate_gpt", 4), ("crate_gpt_overcomplete", 2)])
def test_numbers_of_the_authors_code(case, heads, golden_dir, tmp_path):
    numbers = load_file(golden_dir / f"{case}.safetensors")
    state = {k.removeprefix("state/"): v for k, v in numbers.items() if k.startswith("state/")}
    file = save(tmp_path / "ckpt.pt", {"model": state, "model_args": {"n_head": heads}})
    convert(file, tmp_path / "out")
    logits = reload(tmp_path / "out")(numbers["input_ids"]).logits
    assert relative_error(logits, numbers["logits"]) < 1e-5
    loss = F.cross_entropy(logits.flatten(0, 1), numbers["targets"].flatten())
    torch.testing.assert_close(loss, numbers["loss"], rtol=1e-5, atol=0)


def test_a_training_checkpoint_of_a_compiled_model(tmp_path):
    """Prefix, tied copy, causal mask, arguments and optimizer, as the training script writes."""
    state = random_gpt(context=16, depth=2)
    full = state | {"lm_head.weight": state["transformer.wte.weight"]}
    full |= {f"transformer.h.{i}.attn.bias": causal_mask(16) for i in range(2)}
    arguments = {
        "n_layer": 2, "n_head": 4, "n_embd": 12, "block_size": 16, "vocab_size": 23,
        "bias": False, "dropout": 0.25,
    }  # fmt: skip
    content = {
        "model": {f"_orig_mod.{key}": value for key, value in full.items()},
        "optimizer": {"state": {0: {"exp_avg": torch.zeros(2)}}},
        "model_args": arguments,
        "iter_num": 7,
        "best_val_loss": torch.tensor(3.5),
        "config": {"n_head": 12, "dataset": "openwebtext", "compile": True},
    }
    report = convert(save(tmp_path / "ckpt.pt", content), tmp_path / "out")
    assert set(report.dropped) == {f"transformer.h.{i}.attn.bias" for i in range(2)}
    assert set(report.used) == set(full) - set(report.dropped)
    assert "metadata: n_head = 4" in str(report)
    assert "dropped transformer.h.0.attn.bias: the causal mask" in str(report)
    assert "optimizer" in report.ignored
    model = reload(tmp_path / "out")
    assert model.config.hidden_dropout_prob == model.config.attention_probs_dropout_prob == 0.25
    assert model.lm_head.weight is model.crate.embeddings.word_embeddings.weight
    assert relative_error(model(IDS).logits, gpt_logits(state, IDS, heads=4)) < 1e-5
    # A person may know better than the file, and reads that they overruled it.
    overruled = convert(tmp_path / "ckpt.pt", tmp_path / "other", heads=2)
    assert "heads = 2  (flag, over n_head = 4 of the file)" in str(overruled)


@pytest.mark.parametrize(("vocab", "end"), [(50257, 50256), (50304, 50256), (23, None)])
def test_the_end_of_a_text_in_gpt2s_vocabulary(vocab, end, tmp_path):
    state = random_gpt(vocab=vocab, width=4, depth=1)
    convert(save(tmp_path / "ckpt.pt", state), tmp_path / "out", heads=2)
    config = reload(tmp_path / "out").config
    assert (config.bos_token_id, config.eos_token_id) == (end, end)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_the_type_of_the_file_is_kept(dtype, tmp_path):
    state = {key: value.to(dtype) for key, value in random_gpt(ratio=4).items()}
    save_file(state, tmp_path / "ckpt.safetensors")
    report = convert(tmp_path / "ckpt.safetensors", tmp_path / "out", heads=3)
    assert report.dtype == str(dtype).removeprefix("torch.")
    parameters = dict(reload(tmp_path / "out").named_parameters())
    words = parameters["crate.embeddings.word_embeddings.weight"]
    assert torch.equal(words, state["transformer.wte.weight"])


def refused(tmp_path, content, match, **said):
    with pytest.raises(UserError, match=match) as caught:
        convert(save(tmp_path / "ckpt.pt", content), tmp_path / "out", **said)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("ratio", [None, 4])
def test_any_missing_or_unknown_weight_is_an_error(ratio, tmp_path):
    state = random_gpt(ratio=ratio)
    for key in state:
        rest = {name: value for name, value in state.items() if name != key}
        refused(tmp_path, rest, "without|no place for", heads=3)
    for key in ("transformer.h.0.mlp.weight", "transformer.h.0.attn.c_attn.bias", "steering"):
        refused(tmp_path, state | {key: torch.zeros(12)}, f"no place for: {key}", heads=3)


def test_a_final_norm_belongs_to_the_overcomplete_model_only(tmp_path):
    norm = {f"transformer.ln_f.{kind}": torch.ones(12) for kind in ("weight", "bias")}
    refused(tmp_path, random_gpt() | norm, "no place for: transformer.ln_f", heads=3)


@pytest.mark.parametrize(
    "mask",
    [
        torch.ones(1, 1, 16, 16),
        causal_mask(16).mT,
        causal_mask(16)[0, 0],
        torch.zeros(12),
        torch.tensor(1.0),
    ],
    ids=["all", "upper", "no-axes", "bias", "number"],
)
def test_only_a_causal_mask_is_dropped(mask, tmp_path):
    state = random_gpt() | {"transformer.h.1.attn.bias": mask.contiguous()}
    refused(tmp_path, state, "h.1.attn.bias' is not the causal mask", heads=3)


def test_a_vocabulary_matrix_of_its_own_is_refused(tmp_path):
    state = random_gpt()
    other = state | {"lm_head.weight": state["transformer.wte.weight"] + 1}
    refused(tmp_path, other, "'lm_head.weight' and 'transformer.wte.weight' differ", heads=3)


def test_heads_are_asked_for_and_shapes_are_checked(tmp_path):
    state = random_gpt(ratio=4)
    refused(tmp_path, state, "give --heads; 12 rows of projections allow 1, 2, 3, 4, 6, 12")
    refused(tmp_path, state, "--heads 5 does not fit", heads=5)
    refused(tmp_path, state, "step_size is -1.0", heads=3, step_size=-1.0)
    refused(tmp_path, state, "--pool says nothing about a CRATE-GPT", heads=3, pool="mean")
    for key, shape, match in (
        ("h.0.ista.weight", (13, 12), r"\(13, 12\); expected \(12, 12\) or a multiple"),
        ("h.0.ista.weight", (12, 48), r"\(12, 48\); expected \(12, 12\) or a multiple"),
        ("h.0.ista.weight", (48,), "expected 2 non-empty axes|no place for"),
        ("h.1.ista.weight", (24, 12), r"\(24, 12\); expected \(48, 12\) as in the first"),
        ("h.1.ista.weight", (48,), "expected 2 non-empty axes"),
        ("h.0.attn.c_attn.weight", (36, 12), r"\(36, 12\); expected \(12, 12\)"),
        ("h.1.attn.c_proj.bias", (11,), r"\(11,\); expected \(12,\)"),
        ("wpe.weight", (16, 11), r"\(16, 11\); expected \(16, 12\)"),
        ("wte.weight", (0, 12), "expected 2 non-empty axes"),
    ):
        broken = state | {f"transformer.{key}": torch.zeros(shape)}
        refused(tmp_path, broken, match, heads=3)


@pytest.mark.parametrize(
    ("name", "said"), [("n_layer", 3), ("n_embd", 24), ("vocab_size", 50304), ("block_size", 1024)]
)
def test_arguments_that_contradict_the_weights_are_refused(name, said, tmp_path):
    """Whole layers cut off at the end leave no gap among the names."""
    content = {"model": random_gpt(depth=2), "model_args": {"n_head": 3, name: said}}
    refused(tmp_path, content, f"says {name} = {said}, but its weights make it")


def test_a_file_cut_short_and_a_file_of_nan(tmp_path):
    file = save(tmp_path / "whole.pt", {"model": random_gpt()})
    short = tmp_path / "short.pt"
    short.write_bytes(file.read_bytes()[:-400])
    with pytest.raises(UserError, match="truncated"):
        convert(short, tmp_path / "out", heads=3)
    state = random_gpt()
    state["transformer.h.1.ista.weight"][0, 0] = float("nan")
    refused(tmp_path, state, "h.1.ista.weight' holds NaN", heads=3)


def test_an_ordinary_gpt_is_no_crate(tmp_path):
    keys = ("transformer.h.0.attn.c_attn.weight", "transformer.h.0.mlp.c_fc.weight")
    refused(tmp_path, {key: torch.zeros(2, 2) for key in keys}, "looks like nothing known")


def test_the_tokenizer_beside_the_file_makes_it_a_pipeline(tmp_path):
    home = tmp_path / "source"
    home.mkdir()
    save_file(random_gpt(), home / "model.safetensors")
    (home / "config.json").write_text(json.dumps({"n_head": 3}))
    vocabulary = {f"w{i}": i for i in range(23)}
    Tokenizer(models.WordLevel(vocabulary, unk_token="w0")).save(str(home / "tokenizer.json"))
    report = convert(home / "model.safetensors", tmp_path / "out")
    assert not report.notes
    assert AutoTokenizer.from_pretrained(tmp_path / "out").convert_tokens_to_ids("w7") == 7
    generate = pipeline("text-generation", model=str(tmp_path / "out"))
    [answer] = generate("w7", max_new_tokens=2, do_sample=False, pad_token_id=0)
    assert answer["generated_text"].startswith("w7")


def test_without_a_tokenizer_the_card_says_which_to_add(tmp_path):
    report = convert(save(tmp_path / "ckpt.pt", random_gpt()), tmp_path / "out", heads=3)
    assert "GPT-2's byte-level BPE" in str(report)
    card = (tmp_path / "out" / "README.md").read_text()
    assert "pipeline_tag: text-generation" in card
    assert "AutoModelForCausalLM" in card
