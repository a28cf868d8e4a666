"""What a person can explore on the page: samples, layers, heads and tokens, and how they go on.

Legend: N tokens, K heads, P head width, L layers, C clusters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from whitebox_transformers.analysis.attention import attention_rows
from whitebox_transformers.analysis.compared import Compared, compare
from whitebox_transformers.analysis.layers import white_box_layers
from whitebox_transformers.analysis.layerwise import measure
from whitebox_transformers.analysis.measures import available_measures
from whitebox_transformers.analysis.memberships import has_memberships
from whitebox_transformers.analysis.token_clusters import token_clusters
from whitebox_transformers.report.gallery import Gallery
from whitebox_transformers.report.specimen import Specimen

MOST_SAMPLES = 12
MOST_NUMBERS = 1_000_000
"""Of attention rows, and of projections; more layers than fit are thinned out. The page stores one
byte of each of the former, two of the latter."""
FOLLOWED = {
    "rate-published-z": r"$R^c$ published at $Z^\ell$ (nats)",
    "rate-published-z-half": r"$R^c$ published at $Z^{\ell+1/2}$ (nats)",
    "rate-definition-z": r"$R^c$ defined at $Z^\ell$ (nats)",
    "rate-definition-z-half": r"$R^c$ defined at $Z^{\ell+1/2}$ (nats)",
    "rate-unit": r"$R$ of unit-norm tokens at $Z^\ell$ (nats)",
    "nonzero-share": r"non-zero share of $Z^{\ell+1}$ (0 to 1)",
}


@dataclass(frozen=True)
class Explored:
    """One sample in every layer.

    Attributes:
        specimen: The sample.
        rows: Attention of its query by layer (chosen layers, K, N).
        clusters: Cluster of every token at Z^0 .. Z^L, (L + 1, N).
        curves: By measure of ``FOLLOWED``, one value for each layer.
    """

    specimen: Specimen
    rows: np.ndarray
    clusters: np.ndarray
    curves: dict[str, list[float]]


@dataclass(frozen=True)
class Projections:
    """What the page needs to compute the attention of any token of the first sample.

    Attributes:
        queries: (chosen layers, K, N, P).
        keys: The same, or None if they are the queries.
        scaling: Factor on the inner products.
        allowed: Which tokens each may look at, (N, N), or None for all.
    """

    queries: np.ndarray
    keys: np.ndarray | None
    scaling: float
    allowed: np.ndarray | None


@dataclass(frozen=True)
class Exploration:
    """Everything that can be explored.

    Attributes:
        depth: L.
        layers: Numbers from 1 of the layers whose attention is there.
        first: The one shown first.
        samples: At least one.
        projections: Of the first sample; None for a black box, or where it would be too large.
        query_name: What the token is called whose attention is shown.
        memberships: Whether heads show memberships of tokens, having no attention.
    """

    depth: int
    layers: list[int]
    first: int
    samples: list[Explored]
    projections: Projections | None
    query_name: str
    memberships: bool = False


def explore(model: PreTrainedModel, gallery: Gallery, first: int, seed: int) -> Exploration:
    """Look at the first samples of a gallery.

    Args:
        model: The trained model, whose layers have attention.
        gallery: Its samples.
        first: Index of the layer shown first.
        seed: Of the clusters.
    """
    specimens = gallery.specimens(model)[:MOST_SAMPLES]
    chosen = _layers_that_fit(model, specimens, first)
    samples = [_explored(model, specimen, chosen, seed) for specimen in specimens]
    return Exploration(
        depth=model.config.num_hidden_layers,
        layers=[layer + 1 for layer in chosen],
        first=first + 1,
        samples=samples,
        projections=_projections(model, specimens[0], chosen),
        query_name=gallery.query_name,
        memberships=has_memberships(model),
    )


def _explored(
    model: PreTrainedModel, specimen: Specimen, chosen: Sequence[int], seed: int
) -> Explored:
    body: Any = model.base_model  # a masked autoencoder's sees the whole image
    rows = attention_rows(body, specimen.inputs, specimen.query, chosen)
    followed = [key for key in FOLLOWED if key in available_measures(body)]
    curves = measure(body, [specimen.inputs], followed).curves
    return Explored(
        specimen,
        np.stack([rows[layer][0].numpy() for layer in chosen]),
        token_clusters(body, specimen.inputs, seed).numpy(),
        {key: curve.mean for key, curve in curves.items()},
    )


def _projections(
    model: PreTrainedModel, specimen: Specimen, chosen: Sequence[int]
) -> Projections | None:
    if not _any_token(model, specimen):
        return None
    queries, keys, allowed = {}, {}, {}
    scaling = 1.0

    def see(layer: int, given: Compared) -> None:
        nonlocal scaling
        queries[layer] = given.query[0].float().cpu().numpy()
        if given.key is not given.query:
            keys[layer] = given.key[0].float().cpu().numpy()
        allowed[layer], scaling = _allowed(given), given.scaling

    body: Any = model.base_model
    compare(body, specimen.inputs, chosen, see)
    return Projections(
        np.stack([queries[layer] for layer in chosen]),
        np.stack([keys.get(layer, queries[layer]) for layer in chosen]) if keys else None,
        scaling,
        allowed[chosen[0]],
    )


def _allowed(given: Compared) -> np.ndarray | None:
    """Which tokens each may look at, (N, N), or None for all."""
    mask, count = given.mask, given.query.shape[2]
    if mask is None:
        return np.tri(count, dtype=bool) if given.causal else None
    seen = mask[0, 0] if mask.dtype == torch.bool else mask[0, 0] > torch.finfo(mask.dtype).min
    return seen.expand(count, count).cpu().numpy()


def _layers_that_fit(
    model: PreTrainedModel, specimens: Sequence[Specimen], first: int
) -> list[int]:
    """All layers if what is stored of them stays small, else the first shown and others."""
    depth, heads = model.config.num_hidden_layers, model.config.num_attention_heads
    numbers = [heads * sum(_tokens(specimen) for specimen in specimens)]
    if _any_token(model, specimens[0]):
        numbers.append(heads * model.config.head_dim * _tokens(specimens[0]))
    count = max(1, min(depth, *(MOST_NUMBERS // number for number in numbers)))
    if count == 1:
        return [first]
    spread = {round(i) for i in np.linspace(0, depth - 1, count)}
    return sorted({*spread, first})


def _any_token(model: PreTrainedModel, specimen: Specimen) -> bool:
    """Whether the page can compute attention: u is compared, and a layer of it is not too much."""
    if not white_box_layers(model) or has_memberships(model):
        return False
    heads, head_dim = model.config.num_attention_heads, model.config.head_dim
    return heads * head_dim * _tokens(specimen) <= MOST_NUMBERS


def _tokens(specimen: Specimen) -> int:
    if specimen.grid is None:
        return len(specimen.pieces)
    return specimen.grid[0] * specimen.grid[1] + 1
