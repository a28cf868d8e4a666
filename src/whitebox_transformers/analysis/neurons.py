"""One coefficient at a time: how often it is active, how strongly, and in which words.

The coefficients of a layer's sparse code are its neurons, one for each atom of the dictionary: of
the published step they are the layer's output, of the overcomplete step the codes inside it. The
protocol follows CRATE-LM (arXiv 2410.16443) and its forerunners: excerpts around the largest
values, and some drawn at random between quantiles of the active values.

Samples are run three times (statistics and largest values; random excerpts; the values around the
excerpts), so that memory holds one layer of one batch and the excerpts.

Legend: S samples, B of them in a batch, N tokens, M coefficients of a layer, C of them chosen.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from tqdm import tqdm
from transformers import PreTrainedModel

from whitebox_transformers.data.seeding import seed_of
from whitebox_transformers.errors import UserError

from .best_positions import BestPositions, Position
from .codes import chosen_layers, observe_codes
from .layers import checked_index
from .neuron_statistics import NeuronStatistics, RunningStatistics

LEVELS = (0.5, 0.9, 0.99, 0.999)
"""Quantiles of the active values between which excerpts are drawn."""
# Overlapping and repeated excerpts are left out, so more places are held than are shown.
SPARE = 4

Samples = Mapping[str, Tensor]


@dataclass(frozen=True)
class Excerpt:
    """A place where a coefficient is active, and its surroundings.

    Attributes:
        sample: Number of the sample.
        token: The place in it.
        begin: First token of the excerpt.
        tokens: Numbers of the excerpt's tokens.
        values: The coefficient at each of them.
    """

    sample: int
    token: int
    begin: int
    tokens: list[int]
    values: list[float]


@dataclass(frozen=True)
class Neuron:
    """Where one coefficient is active.

    Attributes:
        layer: Index of its layer, from 0.
        index: Its number in the layer.
        top: Excerpts around its largest values, best first; they do not overlap or repeat.
        between: Excerpts drawn at random among the active values up to the first of ``LEVELS``,
            between each two, and above the last.
    """

    layer: int
    index: int
    top: list[Excerpt] = field(default_factory=list)
    between: list[list[Excerpt]] = field(default_factory=list)


def neuron_statistics(
    model: PreTrainedModel, batches: Iterable[Samples], layers: Sequence[int] | None = None
) -> dict[int, NeuronStatistics]:
    """Share active, mean, largest value and histogram of every coefficient, by layer index.

    Args:
        model: Any model of the CRATE family, of images or text, not folded.
        batches: Mappings of the model's arguments.
        layers: Indices; None for all.

    Raises:
        UserError: No such layer, layers without coefficients, or no samples.
    """
    running: dict[int, RunningStatistics] = defaultdict(RunningStatistics)

    def see(layer: int, _: int, codes: Tensor, real: Tensor) -> None:
        running[layer].add(codes, real)

    if not observe_codes(model, batches, layers, see):
        raise UserError("there are no samples to look at; expected at least one batch")
    return {layer: statistics.result() for layer, statistics in running.items()}


class NeuronStudy:
    """Statistics of all coefficients of some layers, and excerpts of those asked for.

    Args:
        model: A text model of the CRATE family, not folded.
        samples: The model's arguments for all samples, (S, N) each, among them ``input_ids``.
        layers: Indices; None for all.
        top: Excerpts around the largest values.
        radius: Tokens shown on either side of a place.
        batch_size: B.

    Raises:
        UserError: No such layer, layers without coefficients, or no samples.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        samples: Samples,
        layers: Sequence[int] | None = None,
        top: int = 10,
        radius: int = 16,
        batch_size: int = 16,
    ) -> None:
        self.model, self.samples = model, {k: v for k, v in samples.items() if k != "labels"}
        self.top, self.radius, self.batch_size = top, radius, batch_size
        self.layers = chosen_layers(model, layers)
        running = {layer: RunningStatistics() for layer in self.layers}
        self._best = {layer: BestPositions(SPARE * top, max(radius, 1)) for layer in self.layers}

        def see(layer: int, first: int, codes: Tensor, real: Tensor) -> None:
            running[layer].add(codes, real)
            self._best[layer].add(_active_sizes(codes, real), first)

        if not len(self.samples["input_ids"]):
            raise UserError("there are no samples to look at; expected at least one")
        self._observe(see, self.layers, "statistics")
        self.statistics = {layer: found.result() for layer, found in running.items()}

    def strongest(self, layer: int, count: int) -> list[int]:
        """The coefficients of the largest mean square, which make up most of the code."""
        energy = self.statistics[layer].energy
        return energy.topk(min(count, len(energy))).indices.tolist()

    def neurons(
        self, chosen: Mapping[int, Sequence[int]], drawn: int = 2, seed: int = 0
    ) -> list[Neuron]:
        """Coefficients with their excerpts.

        Args:
            chosen: Numbers of coefficients by layer index.
            drawn: Random excerpts between each two quantiles.
            seed: Seed of the draw.

        Raises:
            UserError: No such coefficient in a layer.
        """
        numbers = {
            layer: [
                checked_index(f"coefficient (layer {layer})", index, self._atoms(layer))
                for index in indices
            ]
            for layer, indices in chosen.items()
        }
        random = self._draw(numbers, drawn, seed)
        neurons = []
        for layer, indices in numbers.items():
            for column, index in enumerate(indices):
                top = self._excerpts(self._best[layer].of(index), self.top)
                between = [self._excerpts(places.of(column), drawn) for places in random[layer]]
                neurons.append(Neuron(layer, index, top, between))
        return self._with_values(neurons)

    def sample(self, number: int) -> dict[str, Tensor]:
        """One sample as a batch of one."""
        return {key: value[number : number + 1] for key, value in self.samples.items()}

    def _atoms(self, layer: int) -> int:
        return len(self.statistics[layer].active)

    def _draw(
        self, chosen: Mapping[int, Sequence[int]], drawn: int, seed: int
    ) -> dict[int, list[BestPositions]]:
        """By layer and quantile interval, the places that came first in a random order."""
        found = {
            layer: [BestPositions(SPARE * drawn) for _ in range(len(LEVELS) + 1)]
            for layer in chosen
        }
        edges = {
            layer: self.statistics[layer].quantiles(list(LEVELS))[list(indices)].float()
            for layer, indices in chosen.items()
        }

        def see(layer: int, first: int, codes: Tensor, real: Tensor) -> None:
            sizes = _active_sizes(codes[..., list(chosen[layer])], real).cpu()  # (B, N, C)
            rows = sizes.flatten(0, 1).T.contiguous()  # (C, B N)
            interval = torch.searchsorted(edges[layer], rows).T.unflatten(0, sizes.shape[:2])
            order = torch.stack(
                [_order(sizes.shape[1:], seed, layer, first + i) for i in range(len(sizes))]
            ).masked_fill(sizes.isneginf(), -torch.inf)
            for number, places in enumerate(found[layer]):
                places.add(order.masked_fill(interval != number, -torch.inf), first)

        layers = [layer for layer, indices in chosen.items() if indices]
        if drawn and layers:
            self._observe(see, layers, "random excerpts")
        return found

    def _excerpts(self, places: Sequence[Position], most: int) -> list[Excerpt]:
        """Excerpts without their values; overlapping and repeated ones are left out."""
        kept: list[Excerpt] = []
        for place in places:
            begin, end = self._around(place)
            tokens = self.samples["input_ids"][place.sample, begin:end]
            new = Excerpt(place.sample, place.token, begin, tokens.tolist(), [])
            if len(kept) < most and not any(_repeats(new, old, self.radius) for old in kept):
                kept.append(new)
        return kept

    def _around(self, place: Position) -> tuple[int, int]:
        """First token of an excerpt and one past its last; padding does not belong to it."""
        first, last = 0, self.samples["input_ids"].shape[1] - 1
        mask = self.samples.get("attention_mask")
        if mask is not None:
            real = mask[place.sample].nonzero()
            first, last = int(real[0]), int(real[-1])
        begin, end = place.token - self.radius, place.token + self.radius
        return max(first, begin), min(last, end) + 1

    def _with_values(self, neurons: list[Neuron]) -> list[Neuron]:
        """The neurons with the values around all their excerpts, from one more pass."""
        wanted: dict[tuple[int, int], list[tuple[int, Excerpt]]] = defaultdict(list)
        for neuron in neurons:
            for excerpt in [*neuron.top, *(e for part in neuron.between for e in part)]:
                wanted[neuron.layer, excerpt.sample].append((neuron.index, excerpt))
        numbers = sorted({sample for _, sample in wanted})

        def see(layer: int, first: int, codes: Tensor, _: Tensor) -> None:
            codes = codes.float().cpu()
            for row, sample in enumerate(numbers[first : first + len(codes)]):
                for index, excerpt in wanted[layer, sample]:
                    span = slice(excerpt.begin, excerpt.begin + len(excerpt.tokens))
                    excerpt.values.extend(codes[row, span, index].tolist())

        layers = sorted({neuron.layer for neuron in neurons})
        if numbers:
            self._observe(see, layers, "excerpts", numbers)
        return neurons

    def _observe(self, see, layers: Sequence[int], title: str, only: list[int] | None = None):
        observe_codes(self.model, self._batches(title, only), layers, see)

    def _batches(self, title: str, only: list[int] | None) -> Iterator[Samples]:
        numbers = (
            torch.arange(len(self.samples["input_ids"])) if only is None else torch.tensor(only)
        )
        for part in tqdm(numbers.split(self.batch_size), desc=title, leave=False, delay=1):
            yield {key: value[part] for key, value in self.samples.items()}


def _active_sizes(codes: Tensor, real: Tensor) -> Tensor:
    """Sizes (B, N, M) of the coefficients, -inf where they are zero or the token is padding."""
    sizes = codes.float().abs()
    return sizes.masked_fill((sizes == 0) | ~real[..., None], -torch.inf)


def _order(shape: torch.Size, *parts: int) -> Tensor:
    """Random numbers that decide which places come first, whatever the batches are."""
    generator = torch.Generator().manual_seed(seed_of("excerpts", *parts))
    return torch.rand(shape, generator=generator)


def _repeats(new: Excerpt, old: Excerpt, radius: int) -> bool:
    overlaps = new.sample == old.sample and abs(new.token - old.token) <= radius
    return overlaps or new.tokens == old.tokens
