"""Do exact gradient steps on the compression rate raise the signal-to-noise ratio?"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from whitebox_transformers.crate import rates
from whitebox_transformers.theory.chart import Chart, Level, Line
from whitebox_transformers.theory.codebooks import codebooks
from whitebox_transformers.theory.draws import Codebook
from whitebox_transformers.theory.measurement import Case, at_least
from whitebox_transformers.theory.statement import Evidence, statement

SURE = "1 / gamma"
HALF = "half way to zero"


@statement(
    number=21,
    title="An exact gradient step on R^c denoises",
    claim=(
        "Z - kappa grad R^c(Z) has a higher signal-to-noise ratio than Z: norm inside the own "
        "subspaces over norm outside them."
    ),
    source="arXiv 2311.13110, section 3 (compression as denoising)",
)
def exact_step_raises_snr(
    width: int = 40,
    heads: int = 4,
    head_dim: int = 8,
    tokens: Sequence[int] = (64, 256, 1024, 4096),
    noise: Sequence[float] = (0.05, 0.3),
    eps: float = 0.1,
    least_gain: float = 0.05,
    shares: Sequence[float] | None = None,
    scales: Sequence[float] | None = None,
    seeds: Sequence[int] = (0, 1, 2),
) -> Evidence:
    """Take a step of two lengths in codebooks of several kinds, at the largest number of tokens.

    Args:
        width: d of codebooks that need not fill it.
        heads: Number of subspaces K.
        head_dim: Their dimension p.
        tokens: N; the verdict is on the largest, the chart shows all.
        noise: Standard deviations of the noise, one case each.
        eps: Precision of the rate.
        least_gain: A gain below this counts as none.
        shares: Probability of each subspace in the codebook of unequal shares.
        scales: Deviation of each coefficient in the codebook of uneven coefficients.
        seeds: One draw of bases and tokens each.

    Raises:
        UserError: Fewer than two subspaces, or shares or scales of another length.
    """
    factors: dict[tuple[str, str, float, int], list[float]] = {}
    for seed in seeds:
        for sigma in noise:
            kinds = codebooks(width, heads, head_dim, sigma, seed, shares, scales)
            for kind, codebook in kinds.items():
                for count in tokens:
                    for step, factor in _factors(codebook, count, eps, seed + 1).items():
                        factors.setdefault((step, kind, sigma, count), []).append(factor)
    most = max(tokens)
    cases = [
        Case(
            [at_least("SNR after over before", values, 1.0 + least_gain)],
            {"step": step, "codebook": kind, "noise": sigma},
        )
        for (step, kind, sigma, count), values in factors.items()
        if count == most
    ]
    half = [value for key, values in factors.items() if key[0] == HALF
            and key[1] == "even" and key[3] == most for value in values]  # fmt: skip
    return Evidence(
        cases,
        f"Even codebook, N = {most}, half way to zero: SNR times {min(half):.3f} to "
        f"{max(half):.3f}. Token and noise shrink alike, so that such a step must be combined "
        "with a normalisation or with the expansion term.",
        chart=Chart(
            f"An exact gradient step half way to zero, noise {noise[0]:g}",
            "tokens N",
            "SNR after over before",
            [
                Line(kind, tokens, [min(factors[HALF, kind, noise[0], n]) for n in tokens])
                for kind in ("even", "uneven coefficients", "unequal shares", "incomplete")
            ],
            [Level("no change", 1.0)],
            log_x=True,
        ),
    )


def _factors(codebook: Codebook, tokens: int, eps: float, seed: int) -> dict[str, float]:
    z, labels = codebook.draw(tokens, seed)
    gradient = rates.compression_rate_gradient(z, codebook.bases, eps)
    gamma = codebook.bases.shape[-1] / (tokens * eps**2)
    lengths = {SURE: 1 / gamma, HALF: 0.5 / _mean_shrinkage(gradient, z)}
    before = codebook.signal_to_noise(z, labels)
    return {
        name: codebook.signal_to_noise(z - length * gradient, labels) / before
        for name, length in lengths.items()
    }


def _mean_shrinkage(gradient: Tensor, z: Tensor) -> float:
    """C of the best fit gradient = c * z."""
    return ((gradient * z).sum() / z.square().sum()).item()
