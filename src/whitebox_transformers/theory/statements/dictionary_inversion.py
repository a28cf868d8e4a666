"""The decoder's dictionary as the inverse of the sparsification step."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor

from whitebox_transformers.crate import ista
from whitebox_transformers.theory.draws import gaussian, orthogonal_matrix
from whitebox_transformers.theory.measurement import Case, at_most
from whitebox_transformers.theory.rounding import FLOOR
from whitebox_transformers.theory.statement import Evidence, statement

KINDS = ("orthogonal", "Gaussian")


@statement(
    number=24,
    title="The decoder's dictionary undoes ISTA",
    claim="D ISTA(Z|D) = Z: the ideal decoder has the encoder's dictionary, E = D.",
    source="arXiv 2311.13110, section 3, decoder layer; arXiv 2404.02446 (CRATE-MAE)",
)
def dictionary_inverts_ista(
    width: int = 24,
    tokens: int = 40,
    step_sizes: Sequence[float] = (0.1, 1.0),
    thresholds: Sequence[float] = (0.0, 0.1),
    tolerance: float = FLOOR,
    seeds: Sequence[int] = (0, 1, 2),
) -> Evidence:
    """Error of D ISTA(Z|D) for both activations.

    Args:
        width: d.
        tokens: N, drawn standard normal, as after LayerNorm.
        step_sizes: eta, one case each.
        thresholds: lambda, one case each.
        tolerance: Relative error that counts as inverted.
        seeds: One draw of tokens and dictionary each.
    """
    cases, published = [], []
    for kind, activation, eta, threshold in itertools.product(
        KINDS, ("relu", "soft_threshold"), step_sizes, thresholds
    ):
        errors = []
        for seed in seeds:
            z = gaussian(tokens, width, seed=seed)
            dictionary = _dictionary(kind, width, seed + 1)
            codes = ista.ista(z, dictionary, eta, threshold, activation=activation)
            errors.append(((codes @ dictionary.mT - z).norm() / z.norm()).item())
        at = {"dictionary": kind, "activation": activation, "eta": eta, "lambda": threshold}
        cases.append(Case([at_most("relative error", errors, 0.0, tolerance)], at))
        if kind == "orthogonal" and activation == "relu":
            published.append((max(errors), eta, threshold))
    found = "; ".join(
        f"{error:.2g} at eta = {eta:g}, lambda = {level:g}" for error, eta, level in published
    )
    return Evidence(
        cases,
        f"Relative error with ReLU and an orthogonal dictionary: {found}. ReLU drops the negative "
        "half, and for eta < 1 the step goes only part of the way to D^T Z.",
    )


def _dictionary(kind: str, width: int, seed: int) -> Tensor:
    if kind == "orthogonal":
        return orthogonal_matrix(width, seed)
    drawn = gaussian(width, width, seed=seed)
    return drawn / torch.linalg.matrix_norm(drawn, 2)
