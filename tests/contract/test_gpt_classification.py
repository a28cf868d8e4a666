"""Sequences are classified by their last token, wherever padding stands."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from tests.contract.tiny_gpt import SIZES, VARIANTS, tiny_gpt
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

from whitebox_transformers.crate import CrateGPTConfig, CrateGPTForSequenceClassification
from whitebox_transformers.crate.cache_name import CACHE, named

ROWS = [[3, 7, 5, 11], [9, 4], [6]]


def classifier(variant: str = "help", **fields) -> CrateGPTForSequenceClassification:
    config = CrateGPTConfig(**SIZES | VARIANTS[variant] | {"num_labels": 3} | fields)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = CrateGPTForSequenceClassification(config)
        for parameter in model.parameters():  # so that a wrong place would be seen
            torch.nn.init.normal_(parameter, std=0.5)
    return model.eval()


def padded(side: str) -> dict[str, torch.Tensor]:
    rows, marks = [], []
    for row in ROWS:
        fill = [0] * (4 - len(row))
        ones = [1] * len(row)
        rows.append(row + fill if side == "right" else fill + row)
        marks.append(ones + fill if side == "right" else fill + ones)
    return {"input_ids": torch.tensor(rows), "attention_mask": torch.tensor(marks)}


@pytest.mark.parametrize("variant", ["published", "help", "lag-help", "black-box"])
@pytest.mark.parametrize("side", ["left", "right"])
@torch.no_grad()
def test_a_batch_is_scored_as_each_row_alone_by_its_last_token(variant: str, side: str) -> None:
    model = classifier(variant)
    found = model(**padded(side)).logits
    for row, logits in zip(ROWS, found, strict=True):
        last = model.crate(torch.tensor([row])).last_hidden_state[0, -1]
        torch.testing.assert_close(logits, model.score.weight @ last)


@torch.no_grad()
def test_without_a_mask_the_padding_token_tells_where_a_row_ends() -> None:
    model, batch = classifier(pad_token_id=0), padded("right")
    expected = model(**batch).logits
    torch.testing.assert_close(model(batch["input_ids"]).logits, expected)
    unknown = classifier()
    last = unknown.crate(batch["input_ids"]).last_hidden_state[:, -1]
    torch.testing.assert_close(unknown(batch["input_ids"]).logits, last @ unknown.score.weight.T)


@torch.no_grad()
def test_tokens_after_a_cache_are_scored_as_the_whole() -> None:
    model, row = classifier(), torch.tensor([ROWS[0]])
    start = model(row[:, :2], use_cache=True)
    rest = model(row[:, 2:], **named(start[CACHE]), use_cache=True)
    torch.testing.assert_close(rest.logits, model(row).logits)


def test_losses_of_classes_and_numbers() -> None:
    model, batch = classifier(), padded("right")
    labels = torch.tensor([2, 0, 1])
    out = model(**batch, labels=labels)
    torch.testing.assert_close(out.loss, F.cross_entropy(out.logits, labels))
    out.loss.backward()
    assert all(p.grad is not None and p.grad.any() for p in model.score.parameters())
    regression = classifier(num_labels=1)
    numbers = torch.tensor([0.5, -1.0, 2.0])
    out = regression(**batch, labels=numbers)
    torch.testing.assert_close(out.loss, F.mse_loss(out.logits[:, 0], numbers))
    with pytest.raises(ValueError, match="labels has shape"):
        model(**batch, labels=labels[:2])


@torch.no_grad()
def test_a_language_model_s_folder_gives_the_body_and_back(tmp_path) -> None:
    language = tiny_gpt("help")
    language.save_pretrained(tmp_path / "language")
    model, info = AutoModelForSequenceClassification.from_pretrained(
        tmp_path / "language", num_labels=3, output_loading_info=True
    )
    assert type(model) is CrateGPTForSequenceClassification
    assert set(info["missing_keys"]) == {"score.weight"}
    assert not info["unexpected_keys"]
    body, found = language.crate.state_dict(), model.crate.state_dict()
    assert all(torch.equal(body[name], found[name]) for name in body)
    model.save_pretrained(tmp_path / "task")
    again, info = AutoModelForSequenceClassification.from_pretrained(
        tmp_path / "task", output_loading_info=True
    )
    assert not any(info.values()), info
    assert torch.equal(again(**padded("left")).logits, model(**padded("left")).logits)
    back = AutoModelForCausalLM.from_pretrained(tmp_path / "task")
    row = torch.tensor([ROWS[0]])
    assert torch.equal(back(row).logits, language(row).logits)


@torch.no_grad()
def test_layers_are_recorded_through_the_head() -> None:
    out = classifier()(torch.tensor([ROWS[0]]), output_z=True, output_attentions=True)
    assert len(out.z) == SIZES["num_hidden_layers"] + 1
    assert len(out.attentions) == SIZES["num_hidden_layers"]
