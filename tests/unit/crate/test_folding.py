"""A folded model is its original, faster, and says so when asked for anything but inference."""

from __future__ import annotations

import copy

import pytest
import torch
from tests.contract.tiny import VARIANTS, tiny_images, tiny_model
from tests.contract.tiny_dino import tiny_dino
from torch.utils.flop_counter import FlopCounterMode

from whitebox_transformers.crate import CrateForImageClassification, fold, quantize
from whitebox_transformers.crate.folding import FoldedModelError


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("variant", VARIANTS)
@torch.no_grad()
def test_logits_are_the_originals(variant: str, attention: str) -> None:
    model = tiny_model(variant)
    model.set_attn_implementation(attention)
    images = tiny_images(model.config, batch=3)
    torch.testing.assert_close(fold(model)(images).logits, model(images).logits, rtol=0, atol=1e-5)


@pytest.mark.parametrize("variant", ["published", "theory", "alpha", "majorizer"])
@torch.no_grad()
def test_a_double_model_folds_without_loss(variant: str) -> None:
    model = tiny_model(variant).double()
    images = tiny_images(model.config).double()
    torch.testing.assert_close(
        fold(model)(images).logits, model(images).logits, rtol=1e-12, atol=1e-12
    )


@torch.no_grad()
def test_other_image_sizes_work_as_in_the_original() -> None:
    model = tiny_model()
    images = torch.randn(2, 3, 16, 8)
    torch.testing.assert_close(fold(model)(images).logits, model(images).logits, rtol=0, atol=1e-5)


@torch.no_grad()
def test_bfloat16_stays_near_float32() -> None:
    model = tiny_model(hidden_size=48)
    images = tiny_images(model.config, batch=16)
    folded = fold(model, dtype=torch.bfloat16)
    assert {p.dtype for p in folded.parameters()} == {torch.bfloat16}
    logits, reference = folded(images).logits.float(), model(images).logits
    assert (logits - reference).abs().max() < 0.03 * reference.abs().max()


def test_the_original_is_unchanged_and_shares_nothing() -> None:
    model = tiny_model("theory").train()
    before = copy.deepcopy(model.state_dict())
    folded = fold(model)
    for parameter in folded.parameters():
        parameter.zero_()
    assert model.training
    assert all(parameter.requires_grad for parameter in model.parameters())
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name


@pytest.mark.parametrize(("tokens_high", "width"), [(8, 24), (12, 16)])
@torch.no_grad()
def test_a_published_layer_costs_three_products_of_width_and_two_of_tokens(
    tokens_high: int, width: int
) -> None:
    patch, wide = 2, 8
    model = tiny_model(image_size=[tokens_high, wide], patch_size=patch, hidden_size=width,
                       num_attention_heads=2, pooling="mean")  # fmt: skip
    folded = fold(model)
    folded.set_attn_implementation("eager")
    with FlopCounterMode(display=False) as counter:
        folded(tiny_images(model.config, batch=1))
    n, d, layers = (tokens_high // patch) * (wide // patch) + 1, width, 3
    around = 2 * (n - 1) * 3 * patch**2 * d + 2 * d * 5
    assert counter.get_total_flops() == layers * 2 * n * (3 * d * d + 2 * n * d) + around


def ask(folded, images: torch.Tensor, request: str):
    return {
        "train": lambda: folded.train(),
        "labels": lambda: folded(images, labels=torch.zeros(2, dtype=torch.long)),
        "labels in their place": lambda: folded(images, torch.zeros(2, dtype=torch.long)),
        "attentions": lambda: folded(images, output_attentions=True),
        "z": lambda: folded(images, output_z=[0]),
        "z_half": lambda: folded(images, output_z_half=True),
        "hidden states": lambda: folded(images, output_hidden_states=True),
        "save": lambda: folded.save_pretrained("never-written"),
        "push": lambda: folded.push_to_hub("never-pushed"),
        "gradients": lambda: folded.requires_grad_(),
        "fold": lambda: fold(folded),
    }[request]()


@pytest.mark.parametrize(
    "request_",
    ["train", "labels", "labels in their place", "attentions", "z", "z_half", "hidden states",
     "save", "push", "gradients", "fold"],
)  # fmt: skip
def test_anything_but_inference_is_refused_with_the_way_on(request_, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = tiny_model()
    with pytest.raises(FoldedModelError, match="inference only.*passed to fold"):
        ask(fold(model), tiny_images(model.config), request_)
    assert not list(tmp_path.iterdir())


def test_what_does_not_fold_is_named() -> None:
    with pytest.raises(TypeError, match="Linear; it folds the models of this library"):
        fold(torch.nn.Linear(2, 2))
    with pytest.raises(TypeError, match="student and its teacher.*CrateDinoModel"):
        fold(tiny_dino())
    with pytest.raises(ValueError, match=r"model on meta.*model\.cpu\(\)"):
        quantize(tiny_model().to("meta"))


def test_a_tuple_comes_back_where_it_is_asked_for() -> None:
    model: CrateForImageClassification = tiny_model()
    logits, *rest = fold(model)(tiny_images(model.config), return_dict=False)
    assert logits.shape == (2, 5)
    assert not rest
