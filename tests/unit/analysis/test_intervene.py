"""Interventions equal surgery done by hand, and end with their block."""

from __future__ import annotations

import pytest
import torch
from tests.unit.analysis.tiny import images, tiny_crate, tiny_vit
from tests.unit.analysis.tiny_text import tiny_crate_gpt

from whitebox_transformers import CrateBackbone, fold
from whitebox_transformers.analysis import Coefficient, Head, Step, intervene, measure
from whitebox_transformers.errors import UserError


def logits(model, pixel_values: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return model(pixel_values).logits


def by_hand(model, pixel_values: torch.Tensor, change) -> torch.Tensor:
    """The forward pass spelled out; ``change(name, layer, value)`` may return another value."""
    z = model.crate.embeddings(pixel_values)
    for index, layer in enumerate(model.crate.stack.layers):
        mssa, ista = layer.compress.mssa, layer.sparsify.ista
        u = layer.compress.norm(z) @ mssa.subspaces.weight.T
        w = u.unflatten(-1, (mssa.subspaces.heads, -1)).transpose(1, 2)
        averages = (w @ w.mT * w.shape[-1] ** -0.5).softmax(-1) @ w
        averages = change("heads", index, averages.transpose(1, 2))
        z = z + change("compress", index, mssa.output(averages.flatten(-2)))
        v = layer.sparsify.norm(z)
        dictionary = ista.dictionary
        codes = v + 0.1 * (v @ dictionary - v @ dictionary.T @ dictionary) - 0.1 * 0.1
        codes = change("codes", index, codes.relu())
        z = v + change("sparsify", index, codes - v)
    return model.classifier(z[:, 0])


def put(values: torch.Tensor, where: tuple, new) -> torch.Tensor:
    values = values.clone()
    values[where] = new
    return values


EVERY = slice(None)
CASES = {
    "head zero": (Head(1, 2).zero(), "heads", 1, lambda x: put(x, (EVERY, EVERY, 2), 0.0)),
    "head scaled": (
        Head(layer=-1, index=-3).scale(-2.0),
        "heads",
        2,
        lambda x: put(x, (EVERY, EVERY, 0), -2 * x[:, :, 0]),
    ),
    "head replaced": (
        Head(0, 1).set(torch.arange(4.0)),
        "heads",
        0,
        lambda x: put(x, (EVERY, EVERY, 1), torch.arange(4.0)),
    ),
    "coefficient set": (
        Coefficient(layer=0, index=7).set(1.0),
        "codes",
        0,
        lambda x: put(x, (..., 7), 1.0),
    ),
    "coefficient by function": (
        Coefficient(2, -1).apply(lambda x: x.flip(1)),
        "codes",
        2,
        lambda x: put(x, (..., 11), x[..., 11].flip(1)),
    ),
    "compress scaled": (Step(1, "compress").scale(0.5), "compress", 1, lambda x: 0.5 * x),
    "compress zero": (Step(1, "compress").zero(), "compress", 1, torch.zeros_like),
    "sparsify scaled": (Step(2, "sparsify").scale(0.3), "sparsify", 2, lambda x: 0.3 * x),
    "sparsify zero": (Step(0, "sparsify").zero(), "sparsify", 0, torch.zeros_like),
    "sparsify set": (Step(0, "sparsify").set(0.25), "sparsify", 0, lambda x: 0 * x + 0.25),
}


@pytest.mark.parametrize("case", CASES)
def test_interventions_equal_surgery(case: str) -> None:
    intervention, name, layer, surgery = CASES[case]
    model, pixel_values = tiny_crate().double(), images(3).double()
    untouched = logits(model, pixel_values)

    def change(part: str, index: int, value: torch.Tensor) -> torch.Tensor:
        return surgery(value) if (part, index) == (name, layer) else value

    with torch.no_grad():
        expected = by_hand(model, pixel_values, change)
    with intervene(model, intervention):
        found = logits(model, pixel_values)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    assert (found - untouched).abs().max() > 1e-6
    assert torch.equal(logits(model, pixel_values), untouched)


def test_several_apply_in_order_and_blocks_nest() -> None:
    model, pixel_values = tiny_crate(), images(2)
    with intervene(model, Coefficient(0, 3).set(1.0), Coefficient(0, 3).scale(2.0)):
        found = logits(model, pixel_values)
    with (
        intervene(model, Coefficient(0, 3).set(1.0)),
        intervene(model, Coefficient(0, 3).scale(2.0)),
    ):
        nested = logits(model, pixel_values)
    with intervene(model, Coefficient(0, 3).set(2.0)):
        expected = logits(model, pixel_values)
    assert torch.equal(found, expected)
    assert torch.equal(nested, expected)


def test_an_exception_restores_the_model() -> None:
    model, pixel_values = tiny_crate(), images(2)
    untouched = logits(model, pixel_values)
    with pytest.raises(KeyError), intervene(model, Head(0, 0).zero(), Step(1, "sparsify").zero()):
        raise KeyError
    assert torch.equal(logits(model, pixel_values), untouched)


def test_gradients_flow_around_what_was_removed() -> None:
    model, pixel_values = tiny_crate(), images(2)
    with intervene(model, Head(0, 1).zero()):
        model(pixel_values).logits.square().sum().backward()
    weight = model.crate.stack.layers[0].compress.mssa.output.weight.grad
    assert weight[:, 4:8].abs().max() == 0
    assert weight[:, :4].abs().max() > 0


def test_a_zeroed_part_may_have_held_anything() -> None:
    model = tiny_crate()
    model.crate.stack.layers[1].compress.mssa.output.bias.data.fill_(torch.inf)
    with intervene(model, Step(1, "compress").zero()):
        assert logits(model, images(1)).isfinite().all()


@pytest.mark.parametrize(
    "changes",
    [
        {"sparsification": "overcomplete", "ista_residual": True},
        {"sparsification": "mlp", "compression": "attention"},
    ],
)
def test_blocks_with_a_skip_keep_their_input_when_the_step_is_zero(changes: dict) -> None:
    model, pixel_values = tiny_crate(**changes), images(2)
    with intervene(model, Step(0, "sparsify").zero()), torch.no_grad():
        out = model(pixel_values, output_z=True, output_z_half=True)
    assert torch.equal(out.z[1], out.z_half[0])
    with intervene(model, *(Coefficient(0, i).zero() for i in range(48))), torch.no_grad():
        silent = model(pixel_values, output_z=True, output_z_half=True)
    step = silent.z[1] - silent.z_half[0]
    constant = step[:1, :1].expand_as(step)  # nothing, or the bias of the MLP
    torch.testing.assert_close(step, constant)
    with intervene(model, Head(0, 2).zero()):
        assert not torch.equal(logits(model, pixel_values), out.logits)


def test_other_models_of_the_family_take_interventions() -> None:
    backbone = CrateBackbone(tiny_crate().config).eval()
    with torch.no_grad():
        before = backbone(images(1)).feature_maps[0]
        with intervene(backbone, Head(0, 0).zero()):
            assert not torch.equal(backbone(images(1)).feature_maps[0], before)


@pytest.mark.parametrize(
    ("intervention", "message"),
    [
        (Head(3, 0).zero(), r"layer 3 does not exist: the model has 3, so choose 0 to 2"),
        (Head(0, 3).zero(), r"head \(layer 0\) 3 does not exist: the model has 3"),
        (Coefficient(1, 12).zero(), r"coefficient \(layer 1\) 12 does not exist"),
        (Step(-4, "compress").zero(), "layer -4 does not exist"),
        (Step(0, "compres").zero(), "'compres'; expected 'compress' or 'sparsify'"),
    ],
)
def test_parts_that_do_not_exist_are_named_on_entry(intervention, message: str) -> None:
    model = tiny_crate()
    with pytest.raises(UserError, match=message), intervene(model, Head(0, 0).zero(), intervention):
        pytest.fail("the block must not be entered")
    assert not model.crate.stack.layers[0].compress.mssa.heads._forward_hooks


def test_values_that_do_not_fit_are_named() -> None:
    model = tiny_crate()
    for intervention in (
        Head(0, 0).set(torch.ones(3)),
        Head(0, 0).apply(lambda value: value[:, :1]),
    ):
        expected = pytest.raises(UserError, match=r"Head\(layer=0, index=0\).* 4\)")
        with expected, intervene(model, intervention):
            logits(model, images(2))


def test_a_compiled_model_is_changed_and_measured_as_the_plain_one() -> None:
    model = tiny_crate()
    compiled, x = torch.compile(model, backend="eager"), images(2)
    plain = logits(compiled, x)  # compiled now, when there are no hooks
    with intervene(model, Head(0, 0).zero()):
        expected = logits(model, x)
        assert torch.equal(logits(compiled, x), expected)
    with intervene(compiled, Head(0, 0).zero()):
        assert torch.equal(logits(compiled, x), expected)
    assert not torch.equal(expected, plain)
    curves = [measure(one, [x], ["nonzero-share"]).curves for one in (model, compiled)]
    assert curves[0]["nonzero-share"].mean == curves[1]["nonzero-share"].mean
    assert torch.equal(logits(compiled, x), plain)


@pytest.mark.parametrize(
    ("make", "intervention", "message"),
    [
        (lambda: fold(tiny_crate()), Head(0, 0).zero(), "folded"),
        (lambda: fold(tiny_crate_gpt()), Head(0, 0).zero(), "folded"),
        (tiny_vit, Head(0, 0).zero(), "ViTForImageClassification has no CRATE layers"),
        (
            lambda: tiny_crate(compression="none"),
            Step(0, "compress").zero(),
            "compression is 'none'",
        ),
        (
            lambda: tiny_crate(sparsification="none"),
            Coefficient(0, 0).zero(),
            "sparsification is 'none'",
        ),
    ],
)
def test_models_without_the_part_are_refused(make, intervention, message: str) -> None:
    model = make()
    with pytest.raises(UserError, match=message), intervene(model, intervention):
        pytest.fail("the block must not be entered")
