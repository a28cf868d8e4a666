"""One coefficient as the JSON file and the page show it: statistics, excerpts, effects."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from whitebox_transformers.analysis.neuron_effect import Effect, Shift
from whitebox_transformers.analysis.neuron_statistics import (
    PER_DOUBLING,
    NeuronStatistics,
    bin_edges,
)
from whitebox_transformers.analysis.neurons import LEVELS, Excerpt, Neuron
from whitebox_transformers.report.content import Chart, Curve, Section
from whitebox_transformers.report.token_text import TokenText

BAR = PER_DOUBLING // 2
"""Bins of the statistics in one bar of the histogram shown."""
POINTS = 60
"""Points of the curve of a layer's coefficients."""


@dataclass(frozen=True)
class Summary:
    """The numbers of one coefficient.

    Attributes:
        share_active: Share of tokens at which it is not zero.
        mean: Mean size where active.
        largest: Largest size.
        root_mean_square: Over all tokens.
        quantiles: By level of ``LEVELS``, of the sizes where active.
        bars: Lower edge and share of the active tokens, sizes growing by the square root of two.
    """

    share_active: float
    mean: float
    largest: float
    root_mean_square: float
    quantiles: dict[float, float]
    bars: list[tuple[float, float]]


@dataclass(frozen=True)
class NeuronView:
    """One coefficient.

    Attributes:
        neuron: Its excerpts.
        summary: Its numbers.
        effects: By the name of the change.
    """

    neuron: Neuron
    summary: Summary
    effects: dict[str, Effect]

    @property
    def effect(self) -> float:
        """KL of the first change where the coefficient is active; 0 if it never was."""
        first = next(iter(self.effects.values()), None)
        shift = None if first is None else first.where_active or first.there
        return 0.0 if shift is None else shift.divergence

    def to_json(self, text: TokenText, outcome: Callable[[int], str]) -> dict[str, Any]:
        """Plain values, tokens as text."""
        summary, neuron = self.summary, self.neuron
        return {
            "layer": neuron.layer + 1,
            "neuron": neuron.index,
            "share_active": summary.share_active,
            "mean_where_active": summary.mean,
            "largest": summary.largest,
            "root_mean_square": summary.root_mean_square,
            "quantiles_where_active": {str(k): v for k, v in summary.quantiles.items()},
            "histogram": {
                "lower_edges": [edge for edge, _ in summary.bars],
                "shares": [share for _, share in summary.bars],
            },
            "effects": {
                name: {
                    "where_active": _shift(effect.where_active, outcome),
                    "at_first_excerpt": _shift(effect.there, outcome),
                }
                for name, effect in self.effects.items()
            },
            "top": [_excerpt(excerpt, text) for excerpt in neuron.top],
            "between_quantiles": {
                name: [_excerpt(excerpt, text) for excerpt in part]
                for name, part in zip(interval_names(), neuron.between, strict=False)
            },
        }


def summaries(statistics: NeuronStatistics) -> Iterator[Summary]:
    """The numbers of every coefficient of a layer, in order."""
    quantiles = statistics.quantiles(list(LEVELS)).tolist()
    edges = bin_edges()[:-1:BAR].tolist()
    bars = statistics.histogram.unflatten(1, (-1, BAR)).sum(-1)
    shares = (bars.double() / statistics.active.clamp(min=1)[:, None]).tolist()
    columns = (
        statistics.share_active.tolist(),
        statistics.mean.tolist(),
        statistics.largest.tolist(),
        statistics.energy.sqrt().tolist(),
    )
    for share, mean, largest, size, levels, heights in zip(
        *columns, quantiles, shares, strict=True
    ):
        by_level = dict(zip(LEVELS, levels, strict=True))
        yield Summary(share, mean, largest, size, by_level, _occupied(edges, heights))


def activity_section(numbers: Mapping[int, Sequence[Summary]]) -> Section:
    """How active the coefficients of each layer are, all of them in order."""
    last = max(len(numbers) - 1, 1)
    curves = []
    for place, (layer, rows) in enumerate(numbers.items()):
        shares = sorted((100 * summary.share_active for summary in rows), reverse=True)
        points = torch.linspace(0, len(shares) - 1, min(POINTS, len(shares))).long().tolist()
        ranks = [100 * (point + 1) / len(shares) for point in points]
        shown = [shares[point] for point in points]
        curves.append(Curve(f"layer {layer + 1}", "step", ranks, shown, shade=place / last))
    dead = sum(summary.share_active == 0 for rows in numbers.values() for summary in rows)
    chart = Chart(
        "share-active",
        "How many tokens switch a coefficient on",
        "share of tokens at which it is active (%)",
        "coefficients, most active first (%)",
        curves,
        f"All coefficients of every layer in order of activity; {dead:,} were never active.",
        "A sparse code has few coefficients that are always on: the curve falls early.",
    )
    return Section("activity", "Activity", "", [chart])


def interval_names() -> list[str]:
    """Names of the quantile intervals that excerpts are drawn from, lowest first."""
    percent = [f"{100 * level:g}" for level in LEVELS]
    return [
        f"lowest {percent[0]} %",
        *(f"{low} to {high} %" for low, high in zip(percent, percent[1:], strict=False)),
        f"above {percent[-1]} %",
    ]


def _occupied(edges: list[float], heights: list[float]) -> list[tuple[float, float]]:
    """The bars between the first and the last that are not empty."""
    held = [index for index, height in enumerate(heights) if height]
    if not held:
        return []
    return list(zip(edges, heights, strict=True))[held[0] : held[-1] + 1]


def _excerpt(excerpt: Excerpt, text: TokenText) -> dict[str, Any]:
    return {
        "sample": excerpt.sample,
        "token": excerpt.token,
        "at": excerpt.token - excerpt.begin,
        "text": [text(token) for token in excerpt.tokens],
        "values": [float(f"{value:.4g}") for value in excerpt.values],
    }


def _shift(shift: Shift | None, outcome: Callable[[int], str]) -> dict[str, Any] | None:
    if shift is None:
        return None
    return {
        "positions": shift.positions,
        "kl_nats": shift.divergence,
        "raised": [[outcome(token), change] for token, change in shift.raised],
        "lowered": [[outcome(token), change] for token, change in shift.lowered],
    }
