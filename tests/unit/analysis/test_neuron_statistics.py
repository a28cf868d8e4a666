"""Running statistics of coefficients equal those of all of them at once."""

from __future__ import annotations

import pytest
import torch
from tests.unit.analysis.tiny import images, tiny_crate

from whitebox_transformers.analysis.best_positions import BestPositions
from whitebox_transformers.analysis.neuron_statistics import (
    BINS,
    RunningStatistics,
    bin_edges,
    size_bins,
)
from whitebox_transformers.analysis.neurons import neuron_statistics
from whitebox_transformers.errors import UserError


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    """Codes with many zeros and values over several orders of magnitude."""
    generator = torch.Generator().manual_seed(seed)
    codes = torch.randn(*shape, generator=generator).mul(3).exp() * 1e-2
    return codes * (torch.rand(*shape, generator=generator) < 0.4)


def all_codes(model, pixel_values: torch.Tensor, layer: int) -> torch.Tensor:
    kept = []
    codes = model.crate.stack.layers[layer].sparsify.ista.codes
    handle = codes.register_forward_hook(lambda _, __, values: kept.append(values))
    with torch.no_grad():
        model(pixel_values)
    handle.remove()
    return kept[0].flatten(0, 1)


@pytest.mark.parametrize("sparsification", ["ista", "overcomplete", "mlp"])
def test_statistics_of_a_model_are_those_of_its_codes(sparsification):
    model, pixel_values = tiny_crate(sparsification=sparsification), images(5)
    batches = [{"pixel_values": part} for part in pixel_values.split([2, 2, 1])]
    found = neuron_statistics(model, batches, layers=[-1, 0])
    assert list(found) == [0, 2]
    for layer, statistics in found.items():
        sizes = all_codes(model, pixel_values, layer).abs().double()
        assert statistics.tokens == len(sizes)
        assert torch.equal(statistics.active, (sizes > 0).sum(0))
        torch.testing.assert_close(statistics.share_active, (sizes > 0).double().mean(0))
        torch.testing.assert_close(statistics.energy, sizes.square().mean(0))
        torch.testing.assert_close(statistics.largest.double(), sizes.amax(0))
        mean = torch.stack([s[s > 0].mean() if (s > 0).any() else s.sum() for s in sizes.T])
        torch.testing.assert_close(statistics.mean, mean)
        assert torch.equal(statistics.histogram.sum(1), statistics.active)


def test_histogram_counts_by_its_edges():
    codes = draw(3, 50, 7)
    running = RunningStatistics()
    for part in codes.split([1, 2]):
        running.add(part, torch.ones(part.shape[:2], dtype=torch.bool))
    histogram, edges = running.result().histogram, bin_edges()
    for neuron in range(7):
        values = codes[..., neuron].flatten().double()
        inside = values[values > 0].clamp(edges[0], edges[-1])
        expected = torch.histogram(inside, edges).hist.long()
        assert torch.equal(histogram[neuron], expected)


def test_sizes_beyond_the_histogram_fall_into_its_ends():
    bins = size_bins(torch.tensor([1e-30, 1.0, 1e30]))
    assert bins.tolist() == [0, 128, BINS - 1]


def test_quantiles_are_within_a_bin_of_the_exact_ones():
    codes = draw(4, 500, 3)
    codes[..., 2] = 0
    running = RunningStatistics()
    running.add(codes, torch.ones(codes.shape[:2], dtype=torch.bool))
    found = running.result().quantiles([0.1, 0.5, 0.9, 0.99, 1.0])
    for neuron in (0, 1):
        values = codes[..., neuron].flatten().double()
        exact = values[values > 0].quantile(torch.tensor([0.1, 0.5, 0.9, 0.99, 1.0]).double())
        torch.testing.assert_close(found[neuron], exact, rtol=0.1, atol=0)
    assert found[2].tolist() == [0.0] * 5


def test_padding_is_not_counted():
    codes = draw(2, 6, 4)
    real = torch.tensor([[True] * 6, [True] * 2 + [False] * 4])
    running, alone = RunningStatistics(), RunningStatistics()
    running.add(codes, real)
    alone.add(torch.cat([codes[0], codes[1, :2]])[None], torch.ones(1, 8, dtype=torch.bool))
    assert running.result().tokens == 8
    assert torch.equal(running.result().histogram, alone.result().histogram)


@pytest.mark.parametrize("span", [1, 4])
def test_best_positions_are_those_of_a_full_sort(span):
    values = torch.randn(6, 10, 3, generator=torch.Generator().manual_seed(0))
    values[values < -1] = -torch.inf
    best = BestPositions(keep=5, span=span)
    for first in range(0, 6, 2):
        best.add(values[first : first + 2], first)
    for neuron in range(3):
        offered = []
        for sample in range(6):
            for start in range(0, 10, span):
                part = values[sample, start : start + span, neuron]
                offered.append((part.max().item(), sample, start + int(part.argmax())))
        expected = sorted(offered, reverse=True)[:5]
        found = [(p.value, p.sample, p.token) for p in best.of(neuron)]
        assert found == expected


def test_what_is_never_active_has_no_positions():
    best = BestPositions(keep=3)
    assert best.of(0) == []
    best.add(torch.full((2, 4, 2), -torch.inf), 0)
    assert best.of(1) == []


def test_impossible_requests_are_named():
    with pytest.raises(UserError, match="no samples"):
        neuron_statistics(tiny_crate(), [])
    with pytest.raises(UserError, match="layer 3 does not exist"):
        neuron_statistics(tiny_crate(), [{"pixel_values": images(1)}], [3])
    with pytest.raises(UserError, match="sparsification is 'none'"):
        neuron_statistics(tiny_crate(sparsification="none"), [{"pixel_values": images(1)}])
