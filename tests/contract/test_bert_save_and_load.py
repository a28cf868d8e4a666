"""Bidirectional text models: what is saved is what is loaded, from any head to any head."""

from __future__ import annotations

import pytest
import torch
from safetensors import safe_open
from tests.contract.test_save_and_load import same_tensors
from tests.contract.tiny_bert import HEADS, VARIANTS, task_inputs, tiny_bert, tiny_config, tiny_text
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForMultipleChoice,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
)

from whitebox_transformers.crate import CrateBertConfig, CrateBertForMaskedLM

AUTO = {
    "encoder": AutoModel,
    "masked-lm": AutoModelForMaskedLM,
    "sequence": AutoModelForSequenceClassification,
    "tokens": AutoModelForTokenClassification,
    "answers": AutoModelForQuestionAnswering,
    "choice": AutoModelForMultipleChoice,
}
POOLED = ("encoder", "choice")


def encoder_of(model):
    return model.crate if hasattr(model, "crate") else model


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_loaded_model_is_the_saved_one(variant: str, tmp_path) -> None:
    model = tiny_bert(variant)
    model.save_pretrained(tmp_path)
    loaded, info = CrateBertForMaskedLM.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info.values()), info
    assert not loaded.training
    same_tensors(loaded, model)
    text = tiny_text()
    assert torch.equal(loaded(**text).logits, model(**text).logits)


@pytest.mark.parametrize("head", HEADS)
def test_auto_classes_find_every_head(head: str, tmp_path) -> None:
    model = tiny_bert(head=head)
    model.save_pretrained(tmp_path)
    assert type(AutoConfig.from_pretrained(tmp_path)) is CrateBertConfig
    loaded = AUTO[head].from_pretrained(tmp_path)
    assert type(loaded) is HEADS[head]
    same_tensors(loaded, model)
    inputs = task_inputs(head)
    assert torch.equal(loaded(**inputs)[0], model(**inputs)[0])
    assert type(AUTO[head].from_config(model.config)) is HEADS[head]


@pytest.mark.parametrize("target", HEADS)
@pytest.mark.parametrize("source", HEADS)
def test_any_head_starts_from_the_encoder_of_any_other(source: str, target: str, tmp_path) -> None:
    model = tiny_bert(head=source)
    model.save_pretrained(tmp_path)
    ignore = {"ignore_mismatched_sizes": True} if "choice" in (source, target) else {}
    loaded, info = HEADS[target].from_pretrained(tmp_path, output_loading_info=True, **ignore)
    kept, found = dict(encoder_of(model).named_parameters()), encoder_of(loaded)
    for name, value in found.named_parameters():
        assert torch.isfinite(value).all(), name
        if name in kept:
            assert torch.equal(value, kept[name]), name
    missing = {name for name in info["missing_keys"] if "pooler" not in name}
    if target in (source, "encoder"):
        assert not missing
    fresh_pooler = any("pooler" in name for name in info["missing_keys"])
    assert fresh_pooler == (target in POOLED and source not in POOLED)
    assert not any(name.startswith(("crate.stack", "stack")) for name in missing)


def test_the_tied_matrix_is_stored_once_and_shared_after_loading(tmp_path) -> None:
    tiny_bert().save_pretrained(tmp_path)
    with safe_open(tmp_path / "model.safetensors", framework="pt") as file:
        assert "lm_head.decoder.weight" not in set(file.keys())
    loaded = AutoModelForMaskedLM.from_pretrained(tmp_path)
    assert loaded.lm_head.decoder.weight is loaded.get_input_embeddings().weight

    apart = tiny_bert(tie_word_embeddings=False)
    apart.save_pretrained(tmp_path / "apart")
    loaded = AutoModelForMaskedLM.from_pretrained(tmp_path / "apart")
    same_tensors(loaded, apart)
    assert loaded.lm_head.decoder.weight is not loaded.get_input_embeddings().weight


@pytest.mark.parametrize("variant", VARIANTS)
def test_fresh_weights_fill_everything_that_a_checkpoint_lacks(variant: str, tmp_path) -> None:
    """Loading builds on the meta device, where a tensor nobody fills holds garbage."""
    HEADS["encoder"](tiny_config(variant)).save_pretrained(tmp_path)
    loaded = HEADS["sequence"].from_pretrained(tmp_path)
    for name, value in (*loaded.named_parameters(), *loaded.named_buffers()):
        assert torch.isfinite(value).all(), name
        assert value.abs().max() < 20, name


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_the_type_of_the_weights_is_kept_and_can_be_chosen(dtype: torch.dtype, tmp_path) -> None:
    model = tiny_bert("rotary-window-without-self").to(dtype)
    model.save_pretrained(tmp_path)
    loaded = AutoModelForMaskedLM.from_pretrained(tmp_path)
    same_tensors(loaded, model)
    assert loaded(**tiny_text()).logits.dtype == dtype
    wide = AutoModelForMaskedLM.from_pretrained(tmp_path, dtype=torch.float32)
    assert {value.dtype for value in wide.state_dict().values()} == {torch.float32}
