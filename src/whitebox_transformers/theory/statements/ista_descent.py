"""Does a step of ISTA lower the objective it was derived from?"""

from __future__ import annotations

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

    Args:
        width: d.
        tokens: N, drawn standard normal; their absolute values where they must not be negative.
        threshold: lambda.
        curvatures: eta |D|_2^2, one case each; a proximal step surely descends up to 1.
        seeds: One draw of tokens and dictionaries each.
    """
    cases, lines = [], {}
    for start in (POSITIVE, SIGNED, ZERO):
        for curvature in curvatures:
            changes = []
            for seed in seeds:
                z = gaussian(tokens, width, seed=seed)
                z = z.abs() if start == POSITIVE else z
                square = gaussian(width, width, seed=seed + 1) * (2 / width) ** 0.5
                wide = gaussian(width, ATOMS * width, seed=seed + 2) * (2 / width) ** 0.5
                if start == ZERO:
                    changes.append(_from_zero(z, wide, curvature, threshold))
                else:
                    changes.append(_from_tokens(z, square, curvature, threshold))
            measured = at_most("largest relative change of the lasso", changes, 0.0, FLOOR)
            granted = start != SIGNED and curvature <= 1
            cases.append(Case([measured], {"start": start, "eta |D|^2": curvature}, granted))
            lines.setdefault(start, []).append(measured.value)
    return Evidence(
        cases,
        "The network starts at A = LN(Z), which has entries of both signs: there the lasso over "
        "A >= 0 is not defined at the start, and it is compared with the start cut off at 0.",
        condition="the start is not negative and eta |D|_2^2 <= 1",
        chart=Chart(
            "Change of the lasso in a step of ISTA",
            r"$\eta\,\|D\|_2^2$",
            "relative change (largest over seeds)",
            [Line(start, curvatures, values) for start, values in lines.items()],
            [Level("no change", 0.0)],
            log_x=True,
        ),
    )


def lasso(z: Tensor, codes: Tensor, dictionary: Tensor, threshold: float) -> float:
    """The objective summed over tokens (N, D) with codes (N, M)."""
    return lasso_objective(z, codes, dictionary, threshold).sum().item()


def _from_tokens(z: Tensor, dictionary: Tensor, curvature: float, threshold: float) -> float:
    eta = curvature / _squared_norm(dictionary)
    before = lasso(z, z.relu(), dictionary, threshold)
    after = lasso(z, ista.ista(z, dictionary, eta, threshold), dictionary, threshold)
    return after / before - 1


def _from_zero(z: Tensor, dictionary: Tensor, curvature: float, threshold: float) -> float:
    """Largest change in any of the first steps."""
    eta = curvature / _squared_norm(dictionary)
    values = [lasso(z, torch.zeros(len(z), dictionary.shape[1]).to(z), dictionary, threshold)]
    for steps in range(1, STEPS + 1):
        codes = ista.proximal_steps_from_zero(z, dictionary, eta, threshold, steps)
        values.append(lasso(z, codes, dictionary, threshold))
    return max(after / before - 1 for before, after in zip(values, values[1:], strict=False))


def _squared_norm(dictionary: Tensor) -> float:
    return torch.linalg.matrix_norm(dictionary, 2).item() ** 2
