"""The layer composes the two steps as configured, and the model equals the published formulas."""

import pytest
import torch
from tests.oracles import operators as oracle

from whitebox_transformers.crate import CrateConfig, CrateForImageClassification
from whitebox_transformers.crate.block import Compress, CrateLayer, chosen

SIZE = {"image_size": 12, "patch_size": 4, "hidden_size": 10, "num_attention_heads": 2}


def config(**fields):
    made = CrateConfig(**SIZE, **fields)
    made._attn_implementation = "eager"
    return made


def tokens():
    return torch.randn(2, 6, 10, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("skip", ["raw", "normed"])
@pytest.mark.parametrize("step", [None, 0.3, 1.0])
def test_compress_adds_the_configured_step_to_the_configured_skip(sign, skip, step):
    torch.manual_seed(0)
    compress, z = Compress(config(mssa_sign=sign, mssa_skip=skip, mssa_step=step)), tokens()
    normed = compress.norm(z)
    base = z if skip == "raw" else normed
    c = 1.0 if step is None else step
    kept = 1.0 if step is None else 1.0 - sign * step
    expected = kept * base + sign * c * compress.mssa(normed)
    torch.testing.assert_close(compress(z), expected)


@pytest.mark.parametrize(
    ("fields", "skipped"),
    [
        ({}, False),
        ({"sparsification": "overcomplete"}, False),
        ({"sparsification": "overcomplete", "ista_residual": True}, True),
        ({"sparsification": "mlp"}, True),
        ({"sparsification": "majorizer"}, False),
    ],
)
def test_only_the_residual_blocks_carry_z_half_through(fields, skipped):
    torch.manual_seed(0)
    layer, z = CrateLayer(config(**fields)), tokens()
    z_half = layer.compress(z)
    sparse = layer.sparsify.ista(layer.sparsify.norm(z_half))
    torch.testing.assert_close(layer(z), z_half + sparse if skipped else sparse)


def test_either_operator_may_be_absent():
    torch.manual_seed(0)
    z = tokens()
    attention_only = CrateLayer(config(sparsification="none"))
    torch.testing.assert_close(attention_only(z), attention_only.compress(z))
    token_wise = CrateLayer(config(compression="none"))
    torch.testing.assert_close(token_wise(z)[:, 2:3], token_wise(z[:, 2:3]))


def test_ordinary_attention_can_stand_in_for_mssa():
    torch.manual_seed(0)
    layer, z = CrateLayer(config(compression="attention")), tokens()
    part = layer.compress.mssa
    q, k, v = part.qkv(z).reshape(2, 6, 3, 2, 5).permute(2, 0, 3, 1, 4)
    weights = torch.softmax(q @ k.mT / 5**0.5, -1)
    expected = part.output((weights @ v).transpose(1, 2).reshape(2, 6, 10))
    torch.testing.assert_close(part(z), expected)


@pytest.mark.parametrize(
    ("choice", "expected"),
    [(True, [0, 1, 2]), (False, []), (None, []), ([1], [1]), ([0, -1], [0, 2]), ((), [])],
)
def test_layers_are_chosen_by_index_from_either_end(choice, expected):
    wanted = chosen("output_z", choice, 3)
    assert [index for index in range(3) if wanted[index]] == expected


@pytest.mark.parametrize("choice", [0, 1, [3], [0, -4]])
def test_a_bare_number_or_an_absent_layer_is_refused(choice):
    with pytest.raises(ValueError, match="output_z="):
        chosen("output_z", choice, 3)


@pytest.mark.parametrize("form", ["tokens", "gram"])
@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
@pytest.mark.parametrize(("eta", "lam"), [(0.1, 0.1), (0.3, 0.5)])
def test_the_classifier_equals_the_published_formulas_forward_and_backward(
    form, implementation, eta, lam
):
    torch.manual_seed(1)
    made = CrateConfig(
        **SIZE, num_hidden_layers=3, num_labels=4, ista_form=form, step_size=eta, threshold=lam
    )
    made._attn_implementation = implementation
    model = CrateForImageClassification(made).double()
    pixels = torch.randn(3, 3, 12, 12, dtype=torch.float64)
    labels = torch.tensor([0, 3, 1])
    parameters = dict(model.named_parameters())
    logits = oracle.classify(parameters, pixels, patch=4, heads=2, depth=3, eta=eta, lam=lam)
    expected = torch.autograd.grad(
        torch.nn.functional.cross_entropy(logits, labels), list(parameters.values())
    )
    output = model(pixels, labels=labels)
    torch.testing.assert_close(output.logits, logits, rtol=1e-10, atol=1e-12)
    found = torch.autograd.grad(output.loss, list(parameters.values()))
    for name, a, b in zip(parameters, found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-11, msg=name)
