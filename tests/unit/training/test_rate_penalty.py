"""The penalty is the formula's, of the layers asked for, and of real tokens only."""

from __future__ import annotations

import pytest
import torch
from tests.oracles import rates
from tests.unit.analysis.tiny import images, tiny_crate, tiny_vit
from tests.unit.analysis.tiny_text import padded, sentences, tiny_crate_bert

from whitebox_transformers.analysis.layers import white_box_layers
from whitebox_transformers.analysis.padding import real_tokens
from whitebox_transformers.crate.configuration_crate_dino import CrateDinoConfig
from whitebox_transformers.crate.configuration_crate_mae import CrateMAEConfig
from whitebox_transformers.crate.modeling_crate_dino import CrateDinoForPreTraining
from whitebox_transformers.crate.modeling_crate_mae import CrateMAEForPreTraining
from whitebox_transformers.errors import UserError
from whitebox_transformers.training.rate_penalty import RatePenalty
from whitebox_transformers.training.settings import RatePenaltyConfig


def penalty_of(model, seed: int = 0, **settings) -> RatePenalty:
    return RatePenalty(RatePenaltyConfig(**{"weight": 1.0} | settings), model, seed)


def watched(penalty: RatePenalty, model, inputs: dict, step: int = 0) -> torch.Tensor:
    with penalty.watching(step, real_tokens(inputs)) as costs:
        model(**inputs)
    return penalty.value(costs)


def expected_cost(model, sample: dict, layer: int, sparsity: float) -> torch.Tensor:
    """(R^c - R + sparsity |Z|_1) / N of the output of a layer (from 0), one sample."""
    z = model(**sample, output_z=True).z[layer + 1][0]
    subspaces = white_box_layers(model)[layer].compress.mssa.subspaces
    bases = [rows.T for rows in subspaces.weight.detach().split(subspaces.head_dim)]
    reduction = rates.sparse_rate_reduction(z.T, bases, 0.1, sparsity, 1)
    return -reduction / len(z)


def test_one_layer_all_layers_and_their_gradients() -> None:
    model, pixels = tiny_crate().double(), images(3).double()
    for chosen, layers in (([2], [1]), ("all", [0, 1, 2]), ([1, 3], [0, 2])):
        found = watched(
            penalty_of(model, weight=0.5, layers=chosen, sparsity=0.3),
            model,
            {"pixel_values": pixels},
        )
        costs = [
            expected_cost(model, {"pixel_values": image}, layer, 0.3)
            for image in pixels.split(1)
            for layer in layers
        ]
        expected = 0.5 * torch.stack(costs).mean()
        torch.testing.assert_close(found, expected)
        weights = [p for n, p in model.named_parameters() if "stack.layers.0" in n]
        gradients = zip(
            torch.autograd.grad(found, weights),
            torch.autograd.grad(expected, weights),
            strict=True,
        )
        for ours, theirs in gradients:
            torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_costs_nothing(side: str) -> None:
    model, alone = tiny_crate_bert().double(), sentences(5, 9)
    found = watched(penalty_of(model, layers=[3]), model, padded(alone, side))
    costs = [expected_cost(model, {"input_ids": text[None]}, 2, 0.1) for text in alone]
    torch.testing.assert_close(found, torch.stack(costs).mean())


def test_a_random_layer_is_a_function_of_seed_and_step() -> None:
    model = tiny_crate()
    drawn = [penalty_of(model).chosen(step) for step in range(60)]
    assert drawn == [penalty_of(model).chosen(step) for step in range(60)]
    assert drawn != [penalty_of(model, seed=1).chosen(step) for step in range(60)]
    assert {layer for (layer,) in drawn} == {0, 1, 2}


def test_layers_that_do_not_learn_do_not_count() -> None:
    model = tiny_crate()
    for parameter in white_box_layers(model)[0].parameters():
        parameter.requires_grad_(requires_grad=False)
    found = watched(penalty_of(model, layers=[1]), model, {"pixel_values": images(1)})
    torch.testing.assert_close(
        found.double(),
        expected_cost(model, {"pixel_values": images(1)}, 1, 0.1).double(),
        rtol=1e-4,
        atol=1e-5,
    )


def test_neither_a_teacher_nor_a_decoder_is_asked() -> None:
    sizes = {"image_size": 8, "patch_size": 4, "num_channels": 1, "hidden_size": 12}
    sizes |= {"num_hidden_layers": 2, "num_attention_heads": 3}
    student = CrateDinoForPreTraining(CrateDinoConfig(**sizes, num_prototypes=8))
    autoencoder = CrateMAEForPreTraining(CrateMAEConfig(**sizes))
    for model, asked in ((student, student.student), (autoencoder, autoencoder.crate)):
        layers = penalty_of(model).layers
        assert len(layers) == 2
        assert all(mine is theirs for mine, theirs in zip(layers, asked.stack.layers, strict=True))


def test_under_autocast_it_is_counted_in_float32() -> None:
    model, inputs = tiny_crate(), {"pixel_values": images(2)}
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = watched(penalty_of(model, layers="all"), model, inputs)
    assert found.dtype == torch.float32
    expected = watched(penalty_of(model, layers="all"), model, inputs)
    torch.testing.assert_close(found, expected, rtol=0.05, atol=0.05)


def test_hooks_are_gone_after_the_pass() -> None:
    model = tiny_crate()
    watched(penalty_of(model), model, {"pixel_values": images(1)})
    assert not any(module._forward_hooks for module in model.modules())


def test_what_cannot_be_penalised_is_refused() -> None:
    with pytest.raises(UserError, match="ViTForImageClassification has no CRATE layers that learn"):
        penalty_of(tiny_vit())
    with pytest.raises(UserError, match=r"layers=\[4\]: the model has layers 1 to 3"):
        penalty_of(tiny_crate(), layers=[4])
    with pytest.raises(UserError, match="no subspaces"):
        penalty_of(tiny_crate(compression="attention"))
    with pytest.raises(UserError, match=r"layers=\[0\]: layers are numbered from 1"):
        RatePenaltyConfig(layers=[0])
    with pytest.raises(UserError, match=r"rate_penalty.weight=-1.0 is out of range"):
        RatePenaltyConfig(weight=-1.0)
