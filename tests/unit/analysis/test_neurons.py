"""Excerpts are where the coefficients are largest, and their values are the model's."""

from __future__ import annotations

import pytest
import torch
from tests.unit.analysis.tiny_text import texts, tiny_crate_gpt

from whitebox_transformers.analysis.neurons import LEVELS, NeuronStudy, neuron_statistics
from whitebox_transformers.errors import UserError

RADIUS = 2


def codes_of(model, samples, layer: int) -> torch.Tensor:
    """(S, N, M), from one pass over everything."""
    kept = []
    module = model.crate.stack.layers[layer].sparsify.ista.codes
    handle = module.register_forward_hook(lambda _, __, values: kept.append(values))
    with torch.no_grad():
        model(**samples)
    handle.remove()
    return kept[0]


@pytest.fixture(params=["ista", "overcomplete"])
def model(request):
    return tiny_crate_gpt(sparsification=request.param)


@pytest.fixture
def samples():
    return {"input_ids": texts(9)}


def study_of(model, samples, **changes) -> NeuronStudy:
    return NeuronStudy(model, samples, **{"top": 4, "radius": RADIUS, "batch_size": 4} | changes)


def test_excerpts_hold_the_values_and_tokens_around_their_place(model, samples):
    study = study_of(model, samples)
    neurons = study.neurons({0: [1, 5], 2: [3]})
    assert [(n.layer, n.index) for n in neurons] == [(0, 1), (0, 5), (2, 3)]
    for neuron in neurons:
        codes = codes_of(model, samples, neuron.layer)[..., neuron.index]
        excerpts = [*neuron.top, *(e for part in neuron.between for e in part)]
        assert bool(excerpts) == bool(codes.any())
        for e in excerpts:
            assert e.begin == max(0, e.token - RADIUS)
            span = slice(e.begin, e.token + RADIUS + 1)
            assert e.tokens == samples["input_ids"][e.sample, span].tolist()
            assert e.values == pytest.approx(codes[e.sample, span].tolist(), abs=1e-6)
            assert codes[e.sample, e.token] != 0


def test_the_first_excerpt_is_at_the_largest_value_and_none_overlaps(model, samples):
    for neuron in study_of(model, samples).neurons({1: range(12)}):
        codes = codes_of(model, samples, 1)[..., neuron.index].abs()
        if not codes.any():
            assert neuron.top == []
            continue
        values = [codes[e.sample, e.token].item() for e in neuron.top]
        assert values[0] == codes.max()
        assert values == sorted(values, reverse=True)
        for i, a in enumerate(neuron.top):
            for b in neuron.top[:i]:
                assert a.sample != b.sample or abs(a.token - b.token) > RADIUS


def test_top_excerpts_are_those_of_a_greedy_choice_over_everything(model, samples):
    """A place is taken if no better one is near: what a full sort would give."""
    study = study_of(model, samples, top=3)
    for neuron in study.neurons({0: range(12)}):
        codes = codes_of(model, samples, 0)[..., neuron.index].abs()
        # The best of each span is offered, and a local maximum always is one.
        maxima = [
            codes[s, t].item()
            for s, t in codes.nonzero().tolist()
            if codes[s, max(0, t - RADIUS) : t + RADIUS + 1].max() == codes[s, t]
        ]
        found = [codes[e.sample, e.token].item() for e in neuron.top]
        assert found[:2] == sorted(maxima, reverse=True)[:2]


def test_a_repeated_text_is_shown_once(model):
    row = texts(1)
    study = study_of(model, {"input_ids": row.repeat(6, 1)})
    for neuron in study.neurons({0: range(12)}):
        shown = [tuple(e.tokens) for e in neuron.top]
        assert len(set(shown)) == len(shown)
        assert {e.token for e in neuron.top} <= set(range(12))


def test_random_excerpts_lie_between_their_quantiles(model):
    samples = {"input_ids": texts(60)}
    study = study_of(model, samples)
    edges = study.statistics[1].quantiles(list(LEVELS))
    for neuron in study.neurons({1: range(6)}, drawn=3):
        codes = codes_of(model, samples, 1)[..., neuron.index].abs()
        bounds = [0.0, *edges[neuron.index].tolist(), float("inf")]
        assert len(neuron.between) == len(LEVELS) + 1
        for low, high, part in zip(bounds, bounds[1:], neuron.between, strict=False):
            assert len(part) <= 3
            for excerpt in part:
                assert low < codes[excerpt.sample, excerpt.token].item() * (1 + 1e-5)
                assert codes[excerpt.sample, excerpt.token].item() <= high * (1 + 1e-5)


def test_the_draw_depends_on_the_seed_and_not_on_batches(model):
    samples = {"input_ids": texts(60)}

    def drawn(batch_size: int, seed: int):
        study = study_of(model, samples, batch_size=batch_size)
        (neuron,) = study.neurons({1: [4]}, drawn=3, seed=seed)
        return [[(e.sample, e.token) for e in part] for part in neuron.between]

    assert drawn(7, 0) == drawn(60, 0) != drawn(7, 1)


def test_padding_is_neither_a_place_nor_part_of_an_excerpt(model):
    mask = torch.ones(9, 12, dtype=torch.long)
    mask[::2, 7:] = 0
    samples = {"input_ids": texts(9), "attention_mask": mask}
    study = study_of(model, samples)
    assert study.statistics[0].tokens == int(mask.sum())
    for neuron in study.neurons({0: range(12)}):
        for e in [*neuron.top, *(e for part in neuron.between for e in part)]:
            assert mask[e.sample, e.begin : e.begin + len(e.tokens)].all()
            assert len(e.values) == len(e.tokens)


def test_the_strongest_have_the_largest_mean_square(model, samples):
    study = study_of(model, samples, layers=[1])
    energy = codes_of(model, samples, 1).square().mean((0, 1))
    assert study.strongest(1, 4) == energy.topk(4).indices.tolist()


def test_impossible_requests_are_named(model, samples):
    study = study_of(model, samples)
    with pytest.raises(UserError, match=r"coefficient \(layer 1\) 99 does not exist"):
        study.neurons({1: [99]})
    with pytest.raises(UserError, match="layer 7 does not exist"):
        study_of(model, samples, layers=[7])
    with pytest.raises(UserError, match="no samples"):
        study_of(model, {"input_ids": texts(0)})


def test_documents_packed_into_a_sample_do_not_see_each_other(model):
    """The codes of a document are those of the document alone."""
    tokens = texts(1)
    packed = {
        "input_ids": tokens,
        "position_ids": torch.tensor([[*range(5), *range(7)]]),
    }
    alone = neuron_statistics(model, [{"input_ids": tokens[:, :5]}, {"input_ids": tokens[:, 5:]}])
    together = neuron_statistics(model, [packed])
    for layer, statistics in together.items():
        torch.testing.assert_close(statistics.energy, alone[layer].energy, rtol=1e-5, atol=1e-6)


def test_no_scores_of_the_vocabulary_are_made(model, samples):
    def refuse(*_):
        raise AssertionError("the head was run")

    model.lm_head.register_forward_pre_hook(refuse)
    study_of(model, samples).neurons({0: [1]})
