"""Every system of the library folds, and quantises: same outputs, inference only."""

from __future__ import annotations

import pytest
import torch
from tests.contract.tiny import tiny_images, tiny_model
from tests.contract.tiny_bert import HEADS, task_inputs, tiny_bert
from tests.contract.tiny_dino import tiny_dino
from tests.contract.tiny_gpt import tiny_gpt, tiny_text
from tests.contract.tiny_mae import tiny_mae, tiny_masked
from torch import nn
from torch.utils._pytree import tree_leaves

from whitebox_transformers.crate import CrateBackbone, fold, quantize
from whitebox_transformers.crate.folded_layers import FoldedSparsify
from whitebox_transformers.crate.folding import FoldedModelError
from whitebox_transformers.crate.quantizing import DiagonalApart, Int8Linear, eight_bits_hold

PIXELS = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def image_system(kind=None) -> tuple:
    model = tiny_model()
    images = {"pixel_values": tiny_images(model.config)}
    return (model if kind is None else kind(model)), images


def masked_system(variant: str) -> tuple:
    model = tiny_mae(variant)
    return model, tiny_masked(model.config)


def text_system(head: str) -> tuple:
    inputs = task_inputs(head)
    asked = ("labels", "start_positions", "end_positions")
    return tiny_bert(head=head), {name: x for name, x in inputs.items() if name not in asked}


SYSTEMS = {
    "classifier": image_system,
    "encoder": lambda: image_system(lambda model: model.crate),
    "backbone": lambda: image_system(lambda model: CrateBackbone(model.config).eval()),
    "dino": lambda: (tiny_dino().base_model, {"pixel_values": PIXELS}),
    "gpt": lambda: (tiny_gpt("published"), {"input_ids": tiny_text()}),
}
SYSTEMS |= {
    f"mae {variant}": lambda variant=variant: masked_system(variant)
    for variant in ("published", "efficient", "shared", "theory")
}
SYSTEMS |= {f"bert {head}": lambda head=head: text_system(head) for head in HEADS}


def outputs(model, inputs) -> torch.Tensor:
    """Everything that a call returns, in one vector."""
    found = tree_leaves(dict(model(**inputs, return_dict=True)))
    return torch.cat([x.double().flatten() for x in found if isinstance(x, torch.Tensor)])


@pytest.mark.parametrize("system", SYSTEMS)
@torch.no_grad()
def test_a_folded_model_says_what_its_original_says(system: str) -> None:
    model, inputs = SYSTEMS[system]()
    model, inputs = (
        model.double(),
        {name: x.double() if x.is_floating_point() else x for name, x in inputs.items()},
    )
    before = outputs(model, inputs)
    folded = fold(model)
    torch.testing.assert_close(outputs(folded, inputs), before, rtol=1e-10, atol=1e-10)
    steps = [name for name, part in folded.named_modules() if isinstance(part, FoldedSparsify)]
    assert len(steps) == model.config.num_hidden_layers
    torch.testing.assert_close(outputs(model, inputs), before, rtol=0, atol=0)
    with pytest.raises(FoldedModelError, match="inference only"):
        folded.train()


@pytest.mark.parametrize("system", SYSTEMS)
@torch.no_grad()
def test_int8_is_near_and_for_inference_alone(system: str, tmp_path) -> None:
    model, inputs = SYSTEMS[system]()
    expected, quantized = outputs(model, inputs), quantize(model)
    found = outputs(quantized, inputs)
    assert (found - expected).norm() < 0.1 * expected.norm()
    whole = [part for part in quantized.modules() if isinstance(part, Int8Linear)]
    assert len(whole) >= 3 * model.config.num_hidden_layers  # two of a layer's MSSA, one of ISTA
    for refused in (quantized.train, lambda: quantized.save_pretrained(tmp_path / "x")):
        with pytest.raises(FoldedModelError, match="inference only"):
            refused()
    assert not list(tmp_path.iterdir())


@torch.no_grad()
def test_the_diagonal_of_a_step_takes_no_bits_from_its_change() -> None:
    generator = torch.Generator().manual_seed(0)
    linear = nn.Linear(48, 48)
    linear.weight.copy_(torch.eye(48) + 0.02 * torch.randn(48, 48, generator=generator))
    tokens = torch.randn(30, 48, generator=generator)
    apart, whole = DiagonalApart(linear), Int8Linear(linear)
    torch.testing.assert_close(apart(tokens), linear(tokens))
    apart.rest = Int8Linear(apart.rest)
    error = [(found(tokens) - linear(tokens)).norm() for found in (apart, whole)]
    assert error[0] < error[1] / 5


@torch.no_grad()
def test_integers_are_no_coarser_than_eight_bits_allow() -> None:
    generator = torch.Generator().manual_seed(0)
    linear = nn.Linear(48, 12)
    # Rows of very different size: one scale for all would drown the small ones.
    linear.weight.copy_(torch.randn(12, 48, generator=generator) * 0.5 ** torch.arange(12)[:, None])
    tokens = torch.randn(30, 48, generator=generator) + 0.5
    step = linear.weight.abs().amax(1, keepdim=True) / 127
    top = 255 if eight_bits_hold() else 127
    unit = (tokens.max() - tokens.min()) / top
    zero = (-tokens.min() / unit).round()
    rounded = (((tokens / unit).round() + zero).clamp(0, top) - zero) * unit
    expected = rounded @ ((linear.weight / step).round() * step).T + linear.bias
    error = (Int8Linear(linear)(tokens) - expected).norm(dim=0)
    assert (error < 0.1 * (expected - linear(tokens)).norm(dim=0) + 1e-7).all()
