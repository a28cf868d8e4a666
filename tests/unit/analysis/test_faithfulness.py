"""Steps are measured as the formulas say, on every sample as if it were alone."""

from __future__ import annotations

import pytest
import torch
from tests.oracles.faithfulness import sample_steps
from tests.unit.analysis.tiny import images, tiny_crate, tiny_vit
from tests.unit.analysis.tiny_text import (
    padded,
    sentences,
    texts,
    tiny_crate_bert,
    tiny_crate_gpt,
)

from whitebox_transformers import fold
from whitebox_transformers.analysis import faithfulness, measure
from whitebox_transformers.analysis.faithfulness import gaussian_like
from whitebox_transformers.analysis.gaussian_tokens import GaussianTokens
from whitebox_transformers.analysis.layers import white_box_layers
from whitebox_transformers.analysis.measures import MEASURES, STEP_MEASURES
from whitebox_transformers.crate.rates import compression_rate_gradient
from whitebox_transformers.errors import UserError


def assert_curves(report, samples: list[dict[str, list[float]]]) -> None:
    assert set(report.curves) == set(samples[0])
    for key, curve in report.curves.items():
        values = torch.tensor([sample[key] for sample in samples], dtype=torch.float64)
        assert curve.mean == pytest.approx(values.mean(0).tolist(), rel=1e-7, abs=1e-9), key
        assert curve.std == pytest.approx(values.std(0).tolist(), rel=1e-5, abs=1e-9), key


@pytest.mark.parametrize("sizes", [(5,), (1, 4)])
def test_numbers_are_those_of_single_samples(sizes: tuple[int, ...]) -> None:
    model, pixel_values = tiny_crate().double(), images(5).double()
    report = faithfulness(model, pixel_values.split(list(sizes)))
    assert report.count == 5
    assert_curves(report, [sample_steps(model, image) for image in pixel_values.split(1)])
    shared = {"rate-published-z", "rate-definition-z", "norm-z", "nonzero-share"}
    assert set(report.curves) == set(STEP_MEASURES) | shared
    assert shared <= set(MEASURES)


def test_causal_text() -> None:
    model, ids = tiny_crate_gpt().double(), texts(3)
    report = faithfulness(model, [ids])
    assert_curves(report, [sample_steps(model, text, causal=True) for text in ids.split(1)])


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_enters_no_number(side: str) -> None:
    model, alone = tiny_crate_bert().double(), sentences(5, 9, 5)
    report = faithfulness(model, [padded(alone, side)])
    assert_curves(report, [sample_steps(model, sentence[None]) for sentence in alone])


def test_padding_enters_no_gradient_through_a_window() -> None:
    model, alone = tiny_crate_bert(window=3).double(), sentences(5, 9)
    together = faithfulness(model, [padded(alone, "right")])
    single = faithfulness(model, [sentence[None] for sentence in alone])
    for key, curve in together.curves.items():
        assert curve.mean == pytest.approx(single.curves[key].mean, rel=1e-7, abs=1e-9), key


def test_a_tied_layer_takes_the_tied_step_and_exact_descent_goes_down() -> None:
    tied = faithfulness(tiny_crate(mssa_output="tied"), [images(3)])
    assert tied.curves["compress-tied"].mean == pytest.approx([1, 1, 1], abs=1e-6)
    # Minus half the gradient in place of the operator's output: the rate falls along cosine 1.
    model = tiny_crate(orthonormal_subspaces=True)
    for layer in white_box_layers(model):
        layer.compress.register_forward_hook(
            lambda compress, given, _: (
                given[0]
                - 0.01 * compression_rate_gradient(given[0], compress.mssa.subspaces.bases())
            )
        )
    exact = faithfulness(model, [images(3)]).curves
    assert exact["compress-descent-definition"].mean == pytest.approx([1, 1, 1], abs=1e-5)
    assert max(exact["compress-rate-definition"].mean) < 0


@pytest.mark.parametrize(
    ("changes", "lasso"),
    [
        ({"sparsification": "overcomplete"}, True),
        ({"activation": "soft_threshold"}, True),
        ({"sparsification": "majorizer"}, False),
        ({"sparsification": "mlp"}, False),
    ],
)
def test_variants_have_a_lasso_where_it_is_what_they_descend_on(changes, lasso) -> None:
    curves = faithfulness(tiny_crate(**changes), [images(2)]).curves
    assert ("sparsify-lasso-end" in curves) == lasso
    assert len(curves["sparsify-rate-published"].mean) == 3
    if lasso:
        start, end = curves["sparsify-lasso-start"].mean, curves["sparsify-lasso-end"].mean
        assert all(b < a for a, b in zip(start, end, strict=True))


def test_layers_without_a_sparsification_step_have_one_step() -> None:
    curves = faithfulness(tiny_crate(sparsification="none"), [images(2)]).curves
    assert not any(key.startswith("sparsify") or key.endswith("next") for key in curves)
    assert len(curves["compress-rate-published"].mean) == 3


def test_gaussian_tokens_do_not_depend_on_batches_or_on_the_data() -> None:
    model = tiny_crate()
    data = faithfulness(model, [images(4)])
    found = [
        faithfulness(model, batches, gaussian_like(data, 12, seed=3))
        for batches in ([images(4)], images(4, seed=9).split([1, 3]))
    ]
    for key, curve in found[0].curves.items():
        assert curve.mean == pytest.approx(found[1].curves[key].mean, rel=1e-5, abs=1e-6), key
    lengths, data_lengths = (report.curves["norm-z"].mean for report in (found[0], data))
    assert lengths == pytest.approx(data_lengths, rel=0.1)
    other = faithfulness(model, [images(4)], gaussian_like(data, 12, seed=4))
    assert other.curves["norm-z"].mean != lengths


def test_gaussian_tokens_leave_padding_alone() -> None:
    model, alone = tiny_crate_bert(), sentences(5, 9)
    tokens = GaussianTokens([1.0, 2.0, 0.5])
    right = faithfulness(model, [padded(alone, "right")], tokens).curves
    left = faithfulness(model, [padded(alone, "left")], GaussianTokens([1.0, 2.0, 0.5])).curves
    for key, curve in right.items():
        assert curve.mean == pytest.approx(left[key].mean, rel=1e-4, abs=1e-5), key


def test_a_model_without_subspaces_is_refused() -> None:
    with pytest.raises(UserError, match="has no CRATE layers"):
        faithfulness(tiny_vit(), [images(1)])
    with pytest.raises(UserError, match="no subspaces"):
        faithfulness(tiny_crate(compression="attention"), [images(1)])
    with pytest.raises(UserError, match="folded"):
        faithfulness(fold(tiny_crate()), [images(1)])
    with pytest.raises(UserError, match="no samples"):
        faithfulness(tiny_crate(), [])
    with pytest.raises(UserError, match="layer 1: .*NaN"):
        faithfulness(tiny_crate(), [images(1) * torch.nan])


def test_half_precision_is_measured_in_float32() -> None:
    model, pixel_values = tiny_crate(), images(3)
    expected = faithfulness(model, [pixel_values]).curves
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = faithfulness(model, [pixel_values]).curves
    key = "compress-rate-definition"
    assert found[key].mean == pytest.approx(expected[key].mean, rel=0.1, abs=0.1)


def test_a_caller_without_gradients_gets_the_same_numbers() -> None:
    model = tiny_crate()
    expected = faithfulness(model, [images(2)])
    with torch.inference_mode():
        assert faithfulness(model, [images(2)]) == expected


def test_the_model_is_left_as_it_was() -> None:
    model = tiny_crate().train()
    before = measure(model, [images(2)])
    faithfulness(model, [images(2)])
    assert model.training
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert measure(model, [images(2)]) == before
