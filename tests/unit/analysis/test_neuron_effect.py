"""The effect of a change equals the difference of two runs of the model, written out."""

from __future__ import annotations

import pytest
import torch
from tests.unit.analysis.tiny import images, tiny_crate
from tests.unit.analysis.tiny_text import texts, tiny_crate_gpt

from whitebox_transformers.analysis import Coefficient, intervene
from whitebox_transformers.analysis.neuron_effect import EffectProbe
from whitebox_transformers.errors import UserError


def run(model, tokens, *changes):
    with torch.no_grad(), intervene(model, *changes):
        return model(input_ids=tokens).logits.double().softmax(-1)


def codes_at(model, tokens, layer, index):
    kept = []
    module = model.crate.stack.layers[layer].sparsify.ista.codes
    handle = module.register_forward_hook(lambda _, __, values: kept.append(values[..., index]))
    with torch.no_grad():
        model(input_ids=tokens)
    handle.remove()
    return kept[0]


def assert_shift(shift, before, after):
    """``before`` and ``after`` are probabilities (positions, V)."""
    divergence = (before * (before.log() - after.log())).sum(-1).mean().item()
    assert shift.positions == len(before)
    assert shift.divergence == pytest.approx(divergence, rel=1e-3, abs=1e-6)
    moved = (after - before).mean(0)
    assert [i for i, _ in shift.raised] == moved.topk(5).indices.tolist()
    assert [v for _, v in shift.raised] == pytest.approx(moved.topk(5).values.tolist(), abs=1e-6)
    assert [i for i, _ in shift.lowered] == (-moved).topk(5).indices.tolist()
    assert all(v < 0 for _, v in shift.lowered)


@pytest.mark.parametrize("sparsification", ["ista", "overcomplete"])
def test_effects_are_the_difference_of_two_runs(sparsification):
    model = tiny_crate_gpt(sparsification=sparsification)
    tokens, other = texts(4), texts(1, seed=9)
    target = Coefficient(1, 4)
    changes = {"zero": target.zero(), "double": target.scale(2.0), "set": target.set(3.0)}
    effects = EffectProbe(model, {"input_ids": tokens}).effects(
        target, changes, {"input_ids": other}, token=7
    )
    active = codes_at(model, tokens, 1, 4) != 0
    assert 0 < active.sum() < active.numel()
    for name, change in changes.items():
        assert_shift(
            effects[name].where_active,
            run(model, tokens)[active],
            run(model, tokens, change)[active],
        )
        assert_shift(
            effects[name].there, run(model, other)[0, 7:8], run(model, other, change)[0, 7:8]
        )


def test_a_coefficient_that_is_never_active_has_no_average():
    model, tokens = tiny_crate_gpt(), texts(3)
    model.crate.stack.layers[1].sparsify.norm.weight.data.zero_()
    bias = model.crate.stack.layers[1].sparsify.norm.bias
    bias.data.zero_()  # relu(-eta lambda): every coefficient is zero
    target = Coefficient(1, 4)
    effect = EffectProbe(model, {"input_ids": tokens}).effects(target, {"set": target.set(2.0)})
    assert effect["set"].where_active is None
    assert effect["set"].there is None


def test_padding_is_left_out_of_the_average():
    model, tokens = tiny_crate_gpt(), texts(3)
    mask = torch.ones_like(tokens)
    mask[:, 8:] = 0
    target = Coefficient(0, 4)
    probe = EffectProbe(model, {"input_ids": tokens, "attention_mask": mask})
    effect = probe.effects(target, {"zero": target.zero()})["zero"]
    assert effect.where_active.positions == int((codes_at(model, tokens, 0, 4)[:, :8] != 0).sum())


def test_of_a_classifier_the_samples_are_counted():
    model, pixel_values = tiny_crate(), images(4)
    target = Coefficient(-1, 4)
    probe = EffectProbe(model, {"pixel_values": pixel_values})
    sample = {"pixel_values": pixel_values[:1]}
    effect = probe.effects(target, {"zero": target.zero()}, sample)["zero"]
    with torch.no_grad():
        before = model(pixel_values).logits.double().softmax(-1)
        with intervene(model, target.zero()):
            after = model(pixel_values).logits.double().softmax(-1)
    kl = (before * (before.log() - after.log())).sum(-1)
    assert effect.where_active.positions == 4
    assert effect.where_active.divergence == pytest.approx(kl.mean().item(), rel=1e-3)
    assert effect.there.divergence == pytest.approx(kl[0].item(), rel=1e-3)


def test_the_model_is_left_as_it_was_and_missing_parts_are_named():
    model, tokens = tiny_crate_gpt(), texts(2)
    before = run(model, tokens)
    probe = EffectProbe(model, {"input_ids": tokens})
    target = Coefficient(1, 4)
    probe.effects(target, {"set": target.set(9.0)})
    assert torch.equal(run(model, tokens), before)
    missing = Coefficient(1, 99)
    with pytest.raises(UserError, match="coefficient"):
        probe.effects(missing, {"zero": missing.zero()})
