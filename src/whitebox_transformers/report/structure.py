"""The matrices a model learned, and the tokens of one image, as heatmaps of cosines."""

from __future__ import annotations

from typing import Any

import torch
from transformers import PreTrainedModel

from whitebox_transformers.analysis.coherence import (
    Coherence,
    dictionary_coherence,
    subspace_coherence,
    token_coherence,
)
from whitebox_transformers.analysis.layers import white_box_layers
from whitebox_transformers.crate.mssa import SubspaceStep
from whitebox_transformers.report.axes import number
from whitebox_transformers.report.content import Heatmap, HeatmapGrid, Section
from whitebox_transformers.report.gallery import Gallery

LARGEST = 128


def structure_section(
    model: PreTrainedModel, control: PreTrainedModel, gallery: Gallery, seed: int
) -> tuple[Section, dict[str, Any]]:
    """Heatmaps of every layer, and their summaries for the JSON file.

    A large matrix is drawn on a random choice of its rows. The summaries of subspaces and tokens
    are over the rows drawn, those of dictionaries over all atoms.
    """
    grids, summaries = [], {}
    layers = white_box_layers(model)
    compress = layers[0].compress if layers else None
    if compress is not None and isinstance(compress.mssa, SubspaceStep):
        subspaces = compress.mssa.subspaces
        shape = (subspaces.heads, subspaces.head_dim)
        grids.append(_subspaces(model, control, len(layers), shape, seed, summaries))
    if layers and layers[0].sparsify is not None and hasattr(layers[0].sparsify.ista, "dictionary"):
        grids.append(_dictionaries(model, control, len(layers), seed, summaries))
    grids.append(_tokens(model, control, gallery, seed, summaries))
    introduction = (
        "The derivation assumes incoherent subspaces and an incoherent dictionary; nothing in "
        "training enforces either. Cosines of 0 mean orthogonal, 1 the same direction."
    )
    return Section("structure", "Structure", introduction, heatmaps=grids), summaries


def _subspaces(
    model: PreTrainedModel,
    control: PreTrainedModel,
    depth: int,
    shape: tuple[int, int],
    seed: int,
    summaries: dict[str, Any],
) -> HeatmapGrid:
    heads, head_dim = shape
    columns = max(1, min(head_dim, LARGEST // heads))
    found = [subspace_coherence(model, layer, columns, seed=seed) for layer in range(depth)]
    fresh = subspace_coherence(control, 0, columns, seed=seed)
    summaries["subspaces"] = [coherence.summary for coherence in found]
    summaries["subspaces_control"] = fresh.summary
    last = found[-1].summary
    return HeatmapGrid(
        "subspaces",
        r"Cosines between the directions of all heads, $[U_1,\ldots,U_K]$",
        "absolute cosine",
        _by_layer(found, fresh),
        f"{columns} directions of each of the {heads} heads at unit length; white frames mark "
        f"heads. In the last layer the mean off the diagonal is {number(last['within'])} inside "
        f"heads and {number(last['across'])} between heads; random directions give "
        f"{number(last['random'])}.",
        "If every head had its own subspace, incoherent with the others, only the diagonal and "
        "perhaps the framed blocks would be bright.",
    )


def _dictionaries(
    model: PreTrainedModel,
    control: PreTrainedModel,
    depth: int,
    seed: int,
    summaries: dict[str, Any],
) -> HeatmapGrid:
    found = [dictionary_coherence(model, layer) for layer in range(depth)]
    fresh = dictionary_coherence(control, 0)
    summaries["dictionary"] = [coherence.summary for coherence in found]
    summaries["dictionary_control"] = fresh.summary
    atoms = len(fresh.values)
    shown = _choice(atoms, seed)
    return HeatmapGrid(
        "dictionary",
        r"Cosines between dictionary atoms, $|D^\top D|$",
        "absolute cosine",
        _by_layer([_rows(coherence, shown) for coherence in found], _rows(fresh, shown)),
        f"{len(shown)} of {atoms} atoms at unit length. In the last layer the mean off the "
        f"diagonal is {number(found[-1].summary['mean'])}, "
        f"untrained {number(fresh.summary['mean'])}.",
        "An incoherent dictionary shows a bright diagonal on a dark ground; bright spots off it "
        "are atoms that repeat each other.",
    )


def _tokens(
    model: PreTrainedModel,
    control: PreTrainedModel,
    gallery: Gallery,
    seed: int,
    summaries: dict[str, Any],
) -> HeatmapGrid:
    name, sample = gallery.first()
    found = token_coherence(model, sample, seed=seed)
    fresh = token_coherence(control, sample, seed=seed)[-1]
    summaries["tokens"] = [coherence.summary for coherence in found]
    summaries["tokens_control_output"] = fresh.summary
    items = [_heatmap("Embedding", found[0])]
    items += [_heatmap(f"After layer {layer}", c) for layer, c in enumerate(found[1:], start=1)]
    items.append(_heatmap("Untrained, output", fresh))
    return HeatmapGrid(
        "tokens",
        f"Cosines between the tokens of one {gallery.sample}",
        "absolute cosine",
        items,
        f"The same {len(fresh.values)} tokens of {name} at the embedding and after every layer.",
        "Tokens that settle in a few common subspaces form bright groups on a dark ground; an "
        "all-bright square means that they became alike.",
    )


def _by_layer(found: list[Coherence], fresh: Coherence) -> list[Heatmap]:
    trained = [_heatmap(f"Layer {layer}", c) for layer, c in enumerate(found, start=1)]
    return [*trained, _heatmap("Untrained, layer 1", fresh)]


def _heatmap(title: str, coherence: Coherence) -> Heatmap:
    return Heatmap(title, coherence.values.numpy(), coherence.blocks)


def _choice(count: int, seed: int) -> torch.Tensor:
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    return order[:LARGEST].sort().values


def _rows(coherence: Coherence, shown: torch.Tensor) -> Coherence:
    return Coherence(coherence.values[shown][:, shown], coherence.blocks, coherence.summary)
