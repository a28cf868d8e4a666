"""Does MSSA raise the signal-to-noise ratio, and in which form?"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from whitebox_transformers.crate import rates
from whitebox_transformers.theory.chart import Chart, Level, Line
from whitebox_transformers.theory.draws import Codebook, orthogonal_subspaces
from whitebox_transformers.theory.measurement import Case, at_least
from whitebox_transformers.theory.statement import Evidence, statement
from whitebox_transformers.theory.tied import DERIVED_SCALE, apply, compress, tied_mssa

PLUS, HALF, MINUS = "Z + MSSA", "(Z + MSSA) / 2", "Z - MSSA"
RAW, NORMED, UNIT = "raw tokens", "LayerNorm", "unit length"


@statement(
    number=22,
    title="MSSA denoises",
    claim=(
        "Z + MSSA(Z), with the derivation's output matrix, has a higher signal-to-noise ratio "
        "than Z when there are many tokens."
    ),
    source="arXiv 2311.13110, section 3; sign and normalisation questioned in arXiv 2411.17182",
)
def mssa_raises_snr(
    width: int = 32,
    heads: int = 4,
    head_dim: int = 8,
    tokens: Sequence[int] = (64, 256, 1024),
    noise: Sequence[float] = (0.05, 0.3),
    least_gain: float = 0.05,
    shares: Sequence[float] | None = None,
    scales: Sequence[float] | None = None,
    seeds: Sequence[int] = (0, 1),
) -> Evidence:
    """Every sign, normalisation and scale of the softmax on one codebook.

    Args:
        width: d.
        heads: Number of orthogonal subspaces K.
        head_dim: Their dimension p.
        tokens: N; the verdict is on the largest, the chart shows all.
        noise: Standard deviations of the noise, one case each.
        least_gain: A gain below this counts as none.
        shares: Probability of each subspace, equal if None.
        scales: Deviation of each coefficient, 1 if None.
        seeds: One draw of bases and tokens each.

    Raises:
        UserError: K p exceeds the width, or shares or scales of another length.
    """
    scores = {"1": DERIVED_SCALE, "p^-1/2": None}
    factors: dict[tuple[str, str, str, float, int], list[float]] = {}
    for seed in seeds:
        u = orthogonal_subspaces(width, heads, head_dim, seed)
        for sigma in noise:
            codebook = Codebook(u, sigma, shares, scales)
            for count in tokens:
                drawn, labels = codebook.draw(count, seed + 1)
                for scale_name, scale in scores.items():
                    for normalisation in (RAW, NORMED, UNIT):
                        z = rates.unit_norm(drawn) if normalisation == UNIT else drawn
                        before = codebook.signal_to_noise(z, labels)
                        for step, moved in _moved(z, u, scale, normalisation == NORMED).items():
                            key = (step, scale_name, normalisation, sigma, count)
                            factor = codebook.signal_to_noise(moved, labels) / before
                            factors.setdefault(key, []).append(factor)
    names, most = ("step", "scale of scores", "normalisation", "noise"), max(tokens)
    cases = [
        Case(
            [at_least("SNR after over before", values, 1.0 + least_gain)],
            dict(zip(names, key, strict=False)),
        )
        for key, values in factors.items()
        if key[-1] == most
    ]
    shown = [(PLUS, "1", RAW), (PLUS, "p^-1/2", RAW), (PLUS, "1", NORMED), (PLUS, "p^-1/2", NORMED),
             (MINUS, "1", RAW)]  # fmt: skip
    return Evidence(
        cases,
        f"{_range(factors, PLUS, most)}; {_range(factors, MINUS, most)}; few tokens are worse: "
        f"{_range(factors, PLUS, min(tokens))}.",
        chart=Chart(
            f"A step along MSSA, noise {noise[0]:g}",
            "tokens N",
            "SNR after over before",
            [
                Line(
                    f"{step}, scores x {scale}, {normalisation}",
                    tokens,
                    [min(factors[step, scale, normalisation, noise[0], n]) for n in tokens],
                )
                for step, scale, normalisation in shown
            ],
            [Level("no change", 1.0)],
            log_x=True,
        ),
    )


def _range(factors: dict[tuple[str, str, str, float, int], list[float]], step: str, n: int) -> str:
    values = [
        v for key, several in factors.items() if (key[0], key[-1]) == (step, n) for v in several
    ]
    return f"{step} at N = {n}: SNR times {min(values):.2f} to {max(values):.2f}"


def _moved(z: Tensor, u: Tensor, scale: float | None, normed: bool) -> dict[str, Tensor]:
    """Tokens (N, D) after a step of each sign; with LayerNorm by the library's `Compress`."""
    if normed:
        plus, minus = (apply(compress(u, sign, scale), z) for sign in (1, -1))
    else:
        step = apply(tied_mssa(u, scale), z)
        plus, minus = z + step, z - step
    return {PLUS: plus, HALF: plus / 2, MINUS: minus}
