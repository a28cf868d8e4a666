"""Does a step of ISTA lower the objective it was derived from?"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor

from whitebox_transformers.crate import ista
from whitebox_transformers.crate.lasso import lasso_objective
from whitebox_transformers.theory.chart import Chart, Level, Line
from whitebox_transformers.theory.draws import gaussian
from whitebox_transformers.theory.measurement import Case, at_most
from whitebox_transformers.theory.rounding import FLOOR
from whitebox_transformers.theory.statement import Evidence, statement

ATOMS = 2
STEPS = 5
# Spectral norm of the dictionary whose entries are all positive: atoms shorter than tokens.
SHORT = 0.5
POSITIVE, SIGNED, ZERO = "non-negative tokens", "tokens of both signs", "zero"


@statement(
    number=11,
    title="A step of ISTA lowers the lasso",
    claim=(
        "ISTA(Z|D) has a smaller lambda |A|_1 + 1/2 |Z - D A|_F^2 over A >= 0 than its starting "
        "point, A = Z in the published block and A = 0 in the overcomplete one."
    ),
    source="arXiv 2306.01129, equations 15 to 17; arXiv 2405.20299 for the start at zero",
)
def ista_lowers_lasso(
    width: int = 20,
    tokens: int = 30,
    threshold: float = 0.1,
    curvatures: Sequence[float] = (0.25, 0.5, 1.0, 2.0, 4.0),
    seeds: Sequence[int] = (0, 1, 2),
) -> Evidence:
    """Step from non-negative tokens, from signed ones as after LayerNorm, and from zero.

    The objective is a sum over tokens, so that the worst single token is judged.

    Args:
        width: d.
        tokens: N, drawn standard normal; their absolute values where they must not be negative.
        threshold: lambda.
        curvatures: eta |D|_2^2, one case each; a proximal step surely descends up to 2.
        seeds: One draw of tokens and dictionaries each.
    """
    cases, lines = [], {}
    for start in (POSITIVE, SIGNED, ZERO):
        for curvature in curvatures:
            changes = []
            for seed, draw in itertools.product(seeds, (_as_the_network_starts, _short_positive)):
                z = gaussian(tokens, width, seed=seed)
                if start == ZERO:
                    dictionary = draw(width, ATOMS * width, seed + 2)
                    changes.append(_from_zero(z, dictionary, curvature, threshold))
                else:
                    z = z.abs() if start == POSITIVE else z
                    dictionary = draw(width, width, seed + 1)
                    changes.append(_from_tokens(z, dictionary, curvature, threshold))
            measured = at_most("largest relative change of the lasso", changes, 0.0, FLOOR)
            granted = start != SIGNED and curvature <= 2
            cases.append(Case([measured], {"start": start, "eta |D|^2": curvature}, granted))
            lines.setdefault(start, []).append(measured.value)
    return Evidence(
        cases,
        "The network starts at A = LN(Z), which has entries of both signs: there the lasso over "
        "A >= 0 is not defined at the start, and it is compared with the start cut off at 0. The "
        "sum over all tokens mostly falls from there too; for single tokens it may rise.",
        condition="no entry of the start is negative and eta |D|_2^2 <= 2",
        chart=Chart(
            "Change of the lasso in a step of ISTA",
            r"$\eta\,\|D\|_2^2$",
            "relative change (worst token)",
            [Line(start, curvatures, values) for start, values in lines.items()],
            [Level("no change", 0.0)],
            log_x=True,
        ),
    )


def _from_tokens(z: Tensor, dictionary: Tensor, curvature: float, threshold: float) -> float:
    eta = curvature / _squared_norm(dictionary)
    codes = [z.relu(), ista.ista(z, dictionary, eta, threshold)]
    return _largest_change(z, codes, dictionary, threshold)


def _from_zero(z: Tensor, dictionary: Tensor, curvature: float, threshold: float) -> float:
    """Largest change in any of the first steps."""
    eta = curvature / _squared_norm(dictionary)
    codes = [torch.zeros(len(z), dictionary.shape[1]).to(z)] + [
        ista.proximal_steps_from_zero(z, dictionary, eta, threshold, steps)
        for steps in range(1, STEPS + 1)
    ]
    return _largest_change(z, codes, dictionary, threshold)


def _largest_change(
    z: Tensor, codes: Sequence[Tensor], dictionary: Tensor, threshold: float
) -> float:
    """Largest change of any token (N, D) from codes to the next, over its lasso at A = 0."""
    values = torch.stack([lasso_objective(z, a, dictionary, threshold) for a in codes])
    return (values.diff(dim=0) / (z.square().sum(-1) / 2)).max().item()


def _as_the_network_starts(width: int, atoms: int, seed: int) -> Tensor:
    return gaussian(width, atoms, seed=seed) * (2 / width) ** 0.5


def _short_positive(width: int, atoms: int, seed: int) -> Tensor:
    """Here positive tokens lie along the direction in which a step is longest."""
    drawn = gaussian(width, atoms, seed=seed).abs()
    return SHORT * drawn / torch.linalg.matrix_norm(drawn, 2)


def _squared_norm(dictionary: Tensor) -> float:
    return torch.linalg.matrix_norm(dictionary, 2).item() ** 2
