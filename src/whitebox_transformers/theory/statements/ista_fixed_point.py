"""ISTA worked out by hand for the simplest dictionary."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from whitebox_transformers.crate import ista
from whitebox_transformers.theory.draws import DTYPE, gaussian
from whitebox_transformers.theory.measurement import Case, equal
from whitebox_transformers.theory.rounding import FLOOR, relative
from whitebox_transformers.theory.statement import Evidence, statement


@statement(
    number=12,
    title="With D = I, ISTA only shifts and cuts",
    claim="ISTA(Z|I) = ReLU(Z - eta lambda): the threshold is subtracted.",
    source="arXiv 2306.01129, equation 17; the authors' code agrees, a later book prints a plus",
)
def ista_with_identity_shrinks(
    width: int = 20,
    tokens: int = 30,
    step_sizes: Sequence[float] = (0.1, 1.0, 3.0),
    threshold: float = 0.1,
    seeds: Sequence[int] = (0, 1, 2),
) -> Evidence:
    """Compare with the formula in both ways to compute the step.

    Args:
        width: d.
        tokens: N, drawn standard normal.
        step_sizes: eta, one case each.
        threshold: lambda.
        seeds: One draw of tokens each.
    """
    identity = torch.eye(width, dtype=DTYPE)
    cases = []
    for form in ("tokens", "gram"):
        for eta in step_sizes:
            errors = []
            for seed in seeds:
                z = gaussian(tokens, width, seed=seed)
                expected = (z - eta * threshold).relu()
                errors.append(relative(ista.ista(z, identity, eta, threshold, form), expected))
            measured = equal("relative difference", errors, 0.0, FLOOR)
            cases.append(Case([measured], {"form": form, "eta": eta}))
    worst = max(case.measured[0].value for case in cases)
    return Evidence(cases, f"Largest relative difference {worst:.1e}.")
