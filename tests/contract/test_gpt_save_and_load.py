"""What is saved of a language model is what is loaded, by every class that promises to."""

from __future__ import annotations

import pytest
import torch
from safetensors import safe_open
from tests.contract.tiny_gpt import VARIANTS, tiny_gpt, tiny_text
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM

from whitebox_transformers.crate import CrateGPTConfig, CrateGPTForCausalLM, CrateGPTModel


@pytest.mark.parametrize("variant", VARIANTS)
@torch.no_grad()
def test_a_loaded_model_is_the_saved_one(variant: str, tmp_path) -> None:
    model = tiny_gpt(variant)
    model.save_pretrained(tmp_path)
    loaded, info = AutoModelForCausalLM.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info.values()), info
    assert type(loaded) is CrateGPTForCausalLM
    assert not loaded.training
    ours, theirs = model.state_dict(), loaded.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert torch.equal(loaded(tiny_text()).logits, model(tiny_text()).logits)
    with safe_open(tmp_path / "model.safetensors", framework="pt") as file:
        stored = set(file.keys())
    assert ("lm_head.weight" in stored) == (not model.config.tie_word_embeddings)


@torch.no_grad()
def test_every_class_finds_its_part(tmp_path) -> None:
    model = tiny_gpt("final-norm")
    model.save_pretrained(tmp_path / "whole")
    model.crate.save_pretrained(tmp_path / "body")
    assert type(AutoConfig.from_pretrained(tmp_path / "whole")) is CrateGPTConfig
    expected = model.crate(tiny_text()).last_hidden_state
    for folder in ("whole", "body"):
        body = AutoModel.from_pretrained(tmp_path / folder)
        assert type(body) is CrateGPTModel
        assert torch.equal(body(tiny_text()).last_hidden_state, expected)
    # The vocabulary matrix is the embedding, so that the body is all there is.
    whole, info = AutoModelForCausalLM.from_pretrained(tmp_path / "body", output_loading_info=True)
    assert not info["missing_keys"]
    assert torch.equal(whole(tiny_text()).logits, model(tiny_text()).logits)


def test_fresh_parts_are_drawn_where_a_checkpoint_lacks_them(tmp_path) -> None:
    tiny_gpt().save_pretrained(tmp_path)
    loaded, info = AutoModelForCausalLM.from_pretrained(
        tmp_path, window=3, final_norm=True, output_loading_info=True
    )
    missing = {f"crate.stack.layers.{i}.compress.window.weight" for i in range(2)}
    assert set(info["missing_keys"]) == missing | {"crate.norm.weight", "crate.norm.bias"}
    for layer in loaded.crate.stack.layers:
        assert not layer.compress.window.weight.any()
    assert torch.equal(loaded.crate.norm.weight, torch.ones(12))
    assert not loaded.crate.norm.bias.any()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_the_type_of_the_weights_is_kept(dtype: torch.dtype, tmp_path) -> None:
    model = tiny_gpt("help").to(dtype)
    model.save_pretrained(tmp_path)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert loaded.dtype == dtype
    assert loaded(tiny_text()).logits.dtype == dtype
    assert loaded(tiny_text()).logits.isfinite().all()


def test_settings_for_generation_travel(tmp_path) -> None:
    model = tiny_gpt(eos_token_id=4, bos_token_id=3)
    assert model.generation_config.eos_token_id == 4
    model.generation_config.top_k = 7
    model.generation_config.do_sample = True
    model.save_pretrained(tmp_path)
    again = AutoModelForCausalLM.from_pretrained(tmp_path).generation_config
    assert (again.eos_token_id, again.bos_token_id, again.top_k) == (4, 3, 7)
