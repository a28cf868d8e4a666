"""Why the sparse step may drop the expansion term of the objective."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from whitebox_transformers.crate import rates
from whitebox_transformers.crate.dictionary import draw_dictionary
from whitebox_transformers.theory.draws import DTYPE, gaussian, orthogonal_matrix
from whitebox_transformers.theory.measurement import Case, equal
from whitebox_transformers.theory.statement import Evidence, statement

SMALLEST = torch.finfo(DTYPE).tiny


@statement(
    number=13,
    title="An incoherent dictionary keeps the coding rate",
    claim=(
        "R(D A) = R(A) for an incoherent dictionary, so that reconstructing the tokens keeps R "
        "and ISTA need not maximise it."
    ),
    source="arXiv 2306.01129, section 2.4",
)
def dictionary_keeps_coding_rate(
    width: int = 48,
    tokens: int = 100,
    eps: float = 0.5,
    coherence: float = 0.3,
    tolerance: float = 0.02,
    seeds: Sequence[int] = (0, 1, 2),
) -> Evidence:
    """Compare both rates for dictionaries of three kinds.

    Args:
        width: d.
        tokens: N, codes with about half of their entries zero.
        eps: Precision of the rate.
        coherence: Size, as a share of the identity's spectral norm, of the random symmetric matrix
            that is added to D^T D = I.
        tolerance: Relative difference that still counts as equal.
        seeds: One draw of codes and dictionaries each.
    """
    kinds: dict[str, Callable[[int], Tensor]] = {
        "orthogonal": lambda seed: orthogonal_matrix(width, seed),
        "nearly orthogonal": lambda seed: _nearly_orthogonal(width, coherence, seed),
        "as the network starts": lambda seed: _fresh(width, seed),
    }
    cases = []
    for kind, draw in kinds.items():
        changes = []
        for seed in seeds:
            codes = gaussian(tokens, width, seed=seed).relu()
            before = rates.coding_rate(codes, eps)
            after = rates.coding_rate(codes @ draw(seed + 1).mT, eps)
            # Codes that are all zero have no rate, whatever turns them.
            changes.append(((after - before) / before.clamp_min(SMALLEST)).item())
        measured = equal("relative change of R", changes, 0.0, tolerance)
        cases.append(Case([measured], {"dictionary": kind}))
    found = "; ".join(f"{c.at['dictionary']}: {c.measured[0].value:+.2%}" for c in cases)
    return Evidence(cases, f"Relative change of R: {found}.")


def _nearly_orthogonal(width: int, coherence: float, seed: int) -> Tensor:
    """An orthogonal matrix times the root of I + noise of spectral norm ``coherence``."""
    noise = gaussian(width, width, seed=seed)
    noise = noise + noise.mT
    noise = coherence * noise / torch.linalg.matrix_norm(noise, 2)
    values, vectors = torch.linalg.eigh(torch.eye(width, dtype=DTYPE) + noise)
    root = vectors * values.clamp_min(0).sqrt() @ vectors.mT
    return orthogonal_matrix(width, seed + 1) @ root


def _fresh(width: int, seed: int) -> Tensor:
    """A dictionary as the library draws it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        dictionary = torch.empty(width, width, dtype=DTYPE)
        draw_dictionary(dictionary)
        return dictionary
