"""How far from orthogonal the directions are that a layer works with.

Incoherent subspaces, and an incoherent dictionary, are what the derivation assumes; nothing in
training enforces it (arXiv 2311.13110, the figures of [U_1..U_K] and of the tokens).

Legend: N tokens, D width, K heads, P head width, M atoms.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel

from whitebox_transformers.errors import UserError

from .layers import (
    checked_index,
    evaluating,
    layer_at,
    sparsify_of,
    subspaces_of,
    white_box_layers,
)


@dataclass(frozen=True)
class Coherence:
    """A heatmap and what it amounts to.

    Attributes:
        values: Symmetric matrix, float32 on the CPU.
        blocks: Number of equal diagonal blocks (heads) the axes divide into.
        summary: Scalars by name.
    """

    values: Tensor
    blocks: int
    summary: dict[str, float]


def subspace_coherence(
    model: nn.Module,
    layer: int,
    columns_per_head: int | None = None,
    columns: list[int] | None = None,
    seed: int = 0,
) -> Coherence:
    """``|[U_1..U_K]^T [U_1..U_K]|`` of unit-length columns.

    Args:
        model: A CRATE model with MSSA.
        layer: Index, from 0 or negative from the end.
        columns_per_head: Draw this many columns of every head at random; None for all.
        columns: Take these columns of every head instead.
        seed: Seed of the draw.

    Returns:
        Matrix (K c, K c) for c columns per head. Summary, over the columns shown: ``within`` and
        ``across``, the mean off-diagonal value inside heads and between heads; ``max_across``;
        ``random``, the mean for directions drawn at random, about sqrt(2 / (pi D)). Over all
        columns as they are: ``identity_distance``, the mean over heads of
        ||U_k^T U_k - I||_F / sqrt(P), and ``identity_distance_scaled``, the same after every head
        is multiplied by the factor that makes it smallest.

    Raises:
        UserError: No such layer or column, no subspaces, or a folded model.
    """
    with torch.no_grad():
        bases = subspaces_of(layer_at(model, layer)).bases().double()  # (K, D, P)
    heads, width, head_dim = bases.shape
    if columns is not None:
        chosen = [checked_index("column", column, head_dim) for column in columns]
        picks = torch.tensor(chosen, device=bases.device).expand(heads, -1)
    else:
        count = head_dim if columns_per_head is None else columns_per_head
        if not 1 <= count <= head_dim:
            raise UserError(f"columns_per_head is {count}; heads have 1 to {head_dim} columns")
        picks = torch.stack([_draw(head_dim, count, seed + head) for head in range(heads)])
    rows = bases.mT.gather(1, picks.to(bases.device)[..., None].expand(-1, -1, width))
    cosines = _cosines(rows.flatten(0, 1)).abs()
    count = rows.shape[1]
    head_of = torch.arange(heads * count, device=cosines.device) // count
    same = head_of[:, None] == head_of
    inside = same & ~torch.eye(len(head_of), dtype=torch.bool, device=same.device)
    summary = {
        "within": _mean(cosines[inside]),
        "across": _mean(cosines[~same]),
        "max_across": _max(cosines[~same]),
        "random": (2 / (torch.pi * width)) ** 0.5,
        **_identity_distances(bases.mT @ bases),
    }
    return Coherence(cosines.float().cpu(), heads, summary)


def dictionary_coherence(model: nn.Module, layer: int) -> Coherence:
    """``|D^T D|`` of unit-length atoms, and how far the dictionary itself is from orthogonal.

    Args:
        model: A CRATE model with a dictionary.
        layer: Index, from 0 or negative from the end.

    Returns:
        Matrix (M, M). Summary: ``mean`` and ``max`` off-diagonal value; ``identity_distance``,
        ||D^T D - I||_F / sqrt(M) of the atoms as they are, and ``identity_distance_scaled``, of D
        times the factor that makes it smallest; ``spectral_norm_squared``, ||D||_2^2, which a
        proximal step on the reconstruction error must keep below 2 / step_size.

    Raises:
        UserError: No such layer, no dictionary, or a folded model.
    """
    gram, dictionary = _dictionary_gram(model, layer)
    cosines = _cosines(dictionary.T).abs()
    off_diagonal = cosines[~torch.eye(len(cosines), dtype=torch.bool, device=cosines.device)]
    summary = {
        "mean": _mean(off_diagonal),
        "max": _max(off_diagonal),
        **_identity_distances(gram[None]),
        "spectral_norm_squared": torch.linalg.matrix_norm(dictionary, ord=2).square().item(),
    }
    return Coherence(cosines.float().cpu(), 1, summary)


def dictionary_minus_identity(model: nn.Module, layer: int) -> Tensor:
    """``D^T D - I`` of the atoms as they are, (M, M), signed; errors as `dictionary_coherence`."""
    gram, _ = _dictionary_gram(model, layer)
    return (gram - torch.eye(len(gram)).to(gram)).float().cpu()


def token_coherence(
    model: PreTrainedModel, sample: Tensor | Mapping[str, Tensor], size: int = 50, seed: int = 0
) -> list[Coherence]:
    """``|Z^T Z|`` of unit-length tokens of one sample, on one random block of tokens.

    Args:
        model: A CRATE model, or a black box that returns ``hidden_states``.
        sample: One image (1, channels, height, width), or the model's arguments for one sample.
        size: Tokens in the block; all of them if the sample has fewer.
        seed: Seed of the draw. Every layer shows the same tokens.

    Returns:
        One (size, size) matrix per Z^0 .. Z^L: the embedding, then every layer's output, the last
        one after a final LayerNorm where the model's hidden states are.
        Summary: ``mean`` off-diagonal value.

    Raises:
        UserError: More or less than one sample, or a folded model.
    """
    white_box_layers(model)  # refuses a folded model
    given = sample if isinstance(sample, Mapping) else {model.main_input_name: sample}
    inputs = {key: value.to(model.device) for key, value in given.items()}
    if (count := len(next(iter(inputs.values())))) != 1:
        raise UserError(f"token_coherence shows one sample; {count} were given")
    with evaluating(model), torch.inference_mode():
        states = model(**inputs, output_hidden_states=True).hidden_states
    tokens = states[0].shape[1]
    shown = _draw(tokens, min(size, tokens), seed)
    return [_token_block(z[0, shown.to(z.device)]) for z in states]


def _token_block(z: Tensor) -> Coherence:
    cosines = _cosines(z.double()).abs()
    off_diagonal = cosines[~torch.eye(len(cosines), dtype=torch.bool, device=cosines.device)]
    return Coherence(cosines.float().cpu(), 1, {"mean": _mean(off_diagonal)})


@torch.no_grad()
def _dictionary_gram(model: nn.Module, layer: int) -> tuple[Tensor, Tensor]:
    """D^T D and D (D, M) in float64."""
    ista = sparsify_of(layer_at(model, layer)).ista
    if not hasattr(ista, "dictionary"):
        raise UserError("the model's layers have no dictionary: sparsification is 'mlp'")
    dictionary = ista.dictionary.double()
    return dictionary.T @ dictionary, dictionary


def _identity_distances(grams: Tensor) -> dict[str, float]:
    """Mean of ||G - I||_F / sqrt(P) over Gram matrices (K, P, P), as they are and scaled."""
    size = grams.shape[-1]
    gap = grams - torch.eye(size).to(grams)
    # The best factor s of |s G - I|_F^2 is tr G / |G|_F^2.
    trace = grams.diagonal(dim1=-2, dim2=-1).sum(-1)
    left = (1 - trace.square() / (size * grams.square().sum((-2, -1)))).clamp(min=0)
    return {
        "identity_distance": (torch.linalg.matrix_norm(gap) / size**0.5).mean().item(),
        "identity_distance_scaled": left.sqrt().mean().item(),
    }


def _cosines(rows: Tensor) -> Tensor:
    unit = F.normalize(rows, dim=-1)
    return unit @ unit.T


def _draw(available: int, count: int, seed: int) -> Tensor:
    """``count`` of ``available`` indices without repetition, ascending."""
    order = torch.randperm(available, generator=torch.Generator().manual_seed(seed))
    return order[:count].sort().values


def _mean(values: Tensor) -> float:
    return values.mean().item() if values.numel() else 0.0


def _max(values: Tensor) -> float:
    return values.max().item() if values.numel() else 0.0
