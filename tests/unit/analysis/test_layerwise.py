"""Layer-wise numbers equal those of single samples, whatever the batches; nothing piles up."""

from __future__ import annotations

import gc
import json
import math
import weakref

import pytest
import torch
from tests.oracles.layerwise import sample_measures
from tests.unit.analysis.tiny import images, tiny_crate, tiny_vit
from tests.unit.analysis.tiny_text import VOCABULARY, texts, tiny_crate_gpt
from tests.unit.evaluation.tiny_language import tiny_gpt2

from whitebox_transformers import fold
from whitebox_transformers.analysis import (
    CHEAP,
    LayerReport,
    available_measures,
    measure,
    untrained,
)
from whitebox_transformers.errors import UserError


def split(pixel_values: torch.Tensor, *sizes: int) -> list[torch.Tensor]:
    return list(pixel_values.split(list(sizes)))


def assert_near(found: LayerReport, expected: LayerReport, tolerance: float) -> None:
    assert found.curves.keys() == expected.curves.keys()
    for key, curve in found.curves.items():
        assert curve.mean == pytest.approx(expected.curves[key].mean, rel=tolerance), key


@pytest.mark.parametrize("sizes", [(7,), (3, 4), (1, 1, 5)])
def test_numbers_are_those_of_single_samples(sizes: tuple[int, ...]) -> None:
    model, pixel_values = tiny_crate().double(), images(7).double()
    report = measure(model, split(pixel_values, *sizes))
    samples = [sample_measures(model, image) for image in pixel_values.split(1)]
    assert set(report.curves) == set(samples[0])
    assert report.count == 7
    for key, curve in report.curves.items():
        values = torch.tensor([sample[key] for sample in samples], dtype=torch.float64)
        assert curve.mean == pytest.approx(values.mean(0).tolist(), rel=1e-7), key
        assert curve.std == pytest.approx(values.std(0).tolist(), rel=1e-5, abs=1e-9), key


def test_places_and_lengths() -> None:
    model = tiny_crate()
    curves = measure(model, [images(2)]).curves
    at_every_z = {"rate-raw", "rate-unit", "norm-z"}
    assert {key for key, curve in curves.items() if len(curve.mean) == 4} == at_every_z
    assert {len(curve.std) for key, curve in curves.items() if key not in at_every_z} == {3}


def test_a_choice_gives_the_same_numbers_as_everything() -> None:
    model, pixel_values = tiny_crate(), images(4)
    everything = measure(model, [pixel_values])
    cheap = measure(model, [{"pixel_values": pixel_values, "labels": torch.zeros(4)}], CHEAP)
    assert set(cheap.curves) == set(CHEAP)
    for key in CHEAP:
        assert cheap.curves[key] == everything.curves[key]


def test_half_precision_and_autocast_are_measured_in_float32() -> None:
    model, pixel_values = tiny_crate(), images(3)
    expected = measure(model, [pixel_values])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = measure(model, [pixel_values])
    assert_near(found, expected, 0.05)
    assert_near(measure(model.bfloat16(), [pixel_values.bfloat16()]), expected, 0.05)


def test_orthonormal_subspaces_are_measured_as_applied() -> None:
    model = tiny_crate(orthonormal_subspaces=True)
    bases = model.crate.stack.layers[0].compress.mssa.subspaces
    report = measure(model, [images(2)], ["rate-definition-z"])
    applied = bases.effective_weight()
    assert not torch.allclose(applied, bases.weight)
    bases.weight.data = applied.detach()
    again = measure(model, [images(2)], ["rate-definition-z"])
    mean = report.curves["rate-definition-z"].mean
    assert mean == pytest.approx(again.curves["rate-definition-z"].mean, rel=1e-5)


def test_one_sample_has_no_spread_and_none_is_an_error() -> None:
    assert set(measure(tiny_crate(), [images(1)]).curves["rate-raw"].std) == {0.0}
    with pytest.raises(UserError, match="no samples"):
        measure(tiny_crate(), [])


def test_nothing_of_a_batch_outlives_it() -> None:
    model, alive = tiny_crate(), []

    def stream():
        for seed in range(6):
            gc.collect()
            assert sum(reference() is not None for reference in alive) <= 1
            yield images(3, seed)

    layer = model.crate.stack.layers[1]
    layer.register_forward_hook(lambda _, __, z: alive.append(weakref.ref(z)))
    measure(model, stream())
    assert len(alive) == 6


def test_the_model_is_left_as_it_was() -> None:
    model = tiny_crate().train()
    model.crate.stack.layers[0].eval()
    modes = [module.training for module in model.modules()]
    measure(model, [images(2)])
    assert [module.training for module in model.modules()] == modes
    assert not any(
        module._forward_hooks or module._forward_pre_hooks
        for layer in model.crate.stack.layers
        for module in layer.modules()
        if "Record" not in type(module).__name__
    )


def test_broken_activations_are_named_and_hooks_removed() -> None:
    model = tiny_crate()
    model.crate.stack.layers[1].sparsify.norm.bias.data[0] = torch.nan
    with pytest.raises(UserError, match=r"rate-raw at layer 2: .*NaN"):
        measure(model, [images(2)], ["rate-raw"])
    assert not model.crate.stack.layers[0]._forward_hooks


def test_what_a_model_does_not_have_is_not_measured() -> None:
    attention = tiny_crate(compression="attention", sparsification="mlp")
    assert not any("published" in key for key in available_measures(attention))
    assert "nonzero-share-codes" in measure(attention, [images(2)]).curves
    bare = tiny_crate(compression="none")
    assert set(measure(bare, [images(2)]).curves) == set(available_measures(bare))
    with pytest.raises(UserError, match="rate-published-z is not defined"):
        measure(attention, [images(2)], CHEAP)
    with pytest.raises(UserError, match="'rate-publish'; choose from rate-published-z"):
        measure(attention, [images(2)], ["rate-publish"])


def test_overcomplete_codes_are_counted() -> None:
    model = tiny_crate(sparsification="overcomplete", ista_residual=True)
    kept = []
    codes = model.crate.stack.layers[0].sparsify.ista.codes
    codes.register_forward_hook(lambda _, __, z: kept.append(z))
    curves = measure(model, [images(2)]).curves
    share = (kept[0] != 0).float().mean().item()
    assert curves["nonzero-share-codes"].mean[0] == pytest.approx(share)
    assert curves["nonzero-share"].mean[0] == 1.0


def test_a_black_box_is_measured_at_its_hidden_states() -> None:
    model, pixel_values = tiny_vit(), images(5)
    report = measure(model, split(pixel_values, 2, 3))
    assert set(report.curves) == {"rate-raw", "rate-unit", "nonzero-share", "norm-z"}
    with torch.no_grad():
        states = model(pixel_values, output_hidden_states=True).hidden_states
    lengths = [z.norm(dim=-1).mean().item() for z in states]
    assert report.curves["norm-z"].mean == pytest.approx(lengths, rel=1e-5)
    assert report.curves["nonzero-share"].mean == [1.0, 1.0]
    with pytest.raises(UserError, match="not defined for this ViTForImageClassification"):
        measure(model, [pixel_values], CHEAP)


def test_folded_models_are_refused() -> None:
    folded = fold(tiny_crate())
    for call in (lambda: measure(folded, [images(1)]), lambda: untrained(folded)):
        with pytest.raises(UserError, match=r"folded .* passed to fold"):
            call()


def test_the_control_has_fresh_weights_from_its_seed() -> None:
    model = tiny_crate(seed=7)
    before = torch.get_rng_state()
    control, same, other = untrained(model), untrained(model), untrained(model, seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    assert not control.training
    weights = [m.crate.stack.layers[0].sparsify.ista.dictionary for m in (control, same, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert not torch.equal(weights[0], model.crate.stack.layers[0].sparsify.ista.dictionary)
    assert measure(control, [images(2)]).curves.keys() == measure(model, [images(2)]).curves.keys()
    assert type(untrained(tiny_vit())).__name__ == "ViTForImageClassification"


def test_reports_survive_json() -> None:
    report = measure(tiny_crate(), [images(3)])
    stored = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert LayerReport.from_json(stored) == report
    assert "eps^2 = 0.01" in stored["curves"]["rate-published-z"]["definition"]
    assert all(math.isfinite(value) for curve in report.curves.values() for value in curve.std)
    for wrong in ({"count": 1}, {"count": 1, "curves": {"a": {}}}, []):
        with pytest.raises(UserError, match="not a stored layer report"):
            LayerReport.from_json(wrong)


@pytest.mark.parametrize("family", [tiny_crate_gpt, lambda: tiny_gpt2(vocab_size=VOCABULARY).model])
def test_documents_packed_into_a_sample_are_measured_apart(family) -> None:
    """Lengths of tokens are those of each document alone; the model still caches afterwards."""
    model, tokens = family().double(), texts(1)
    places = torch.tensor([[*range(5), *range(7)]])
    packed = measure(model, [{"input_ids": tokens, "position_ids": places}], ["norm-z"])
    parts = [measure(model, [{"input_ids": x}], ["norm-z"]) for x in (tokens[:, :5], tokens[:, 5:])]
    first, second = (torch.tensor(part.curves["norm-z"].mean) for part in parts)
    expected = (5 * first + 7 * second) / 12
    assert packed.curves["norm-z"].mean == pytest.approx(expected.tolist(), rel=1e-6)
    assert model.config.use_cache
