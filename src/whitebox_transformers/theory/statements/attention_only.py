"""How fast an attention-only transformer denoises."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from whitebox_transformers.crate import attention
from whitebox_transformers.errors import UserError
from whitebox_transformers.theory.chart import Chart, Line
from whitebox_transformers.theory.draws import DTYPE, generator, orthogonal_subspaces
from whitebox_transformers.theory.measurement import Case, equal
from whitebox_transformers.theory.statement import Evidence, statement


@statement(
    number=25,
    title="Every attention-only layer multiplies the signal-to-noise ratio by 1 + eta tau",
    claim=(
        "Z + eta sum_k U_k U_k^T Z phi(Z^T U_k U_k^T Z) with phi = h(softmax), "
        "h(x) = tau 1{x > tau}, multiplies the SNR of every subspace by 1 + eta tau."
    ),
    source=(
        "arXiv 2506.03790 (attention-only transformers), with high probability for p of at least "
        "the order of log N, noise delta of at most the order of sqrt(log N / p), and "
        "1/2 < tau <= 1 / (1 + N exp(-9 p / 32))"
    ),
)
def attention_only_layer_denoises(
    heads: int = 3,
    head_dims: Sequence[int] = (4, 16, 64),
    tokens_per_subspace: int = 20,
    noise: Sequence[float] = (0.1, 0.5),
    threshold: float = 0.6,
    step_size: float = 0.5,
    layers: int = 3,
    tolerance: float = 1e-6,
    seeds: Sequence[int] = (0, 1, 2),
) -> Evidence:
    """SNR of every subspace after every layer.

    Args:
        heads: Number of subspaces K, orthogonal and filling the width.
        head_dims: p, one case each.
        tokens_per_subspace: N / K.
        noise: delta, deviation of the coefficients in the other subspaces, one case each.
        threshold: tau.
        step_size: eta.
        layers: L.
        tolerance: Of the factor.
        seeds: One draw of tokens and bases each.

    Raises:
        UserError: Fewer than two subspaces: nothing would lie outside the own one.
    """
    if heads < 2:
        raise UserError(f"heads={heads}; expected at least 2, so that subspaces can be told apart")
    claimed = 1 + step_size * threshold
    cases, lines, plain, granted = [], [], [], []
    for head_dim in head_dims:
        for delta in noise:
            factors: list[float] = []
            for seed in seeds:
                u = orthogonal_subspaces(heads * head_dim, heads, head_dim, seed)
                z = _tokens(u, tokens_per_subspace, delta, seed + 1)
                ratios = [_snr(z, u)]
                plain.append((_snr(_layer(z, u, step_size, None), u) / ratios[0]).min().item())
                for _ in range(layers):
                    z = _layer(z, u, step_size, threshold)
                    ratios.append(_snr(z, u))
                factors += (torch.stack(ratios[1:]) / torch.stack(ratios[:-1])).flatten().tolist()
                if seed == seeds[0]:
                    mean = [ratio.mean().item() / ratios[0].mean().item() for ratio in ratios]
                    lines.append(
                        Line(f"p = {head_dim}, delta = {delta:g}", range(layers + 1), mean)
                    )
            count = heads * tokens_per_subspace
            measured = equal("SNR after over before a layer", factors, claimed, tolerance)
            case = Case([measured], {"p": head_dim, "delta": delta})
            cases.append(case)
            bound = 1 / (1 + count * math.exp(-9 * head_dim / 32))
            if 0.5 < threshold <= bound and delta**2 <= math.log(count) / head_dim:
                granted.append(case.holds)
    return Evidence(
        cases,
        f"Claimed factor {claimed:g}. With the softmax alone, as the practical network has it, the "
        f"factor of a layer is at least {min(plain):.3f} here. The theorem's own conditions, with "
        f"its unknown constants put at 1, are met in {len(granted)} cases, of which "
        f"{sum(granted)} have the factor: the claim is one of high probability for large p.",
        chart=Chart(
            "Attention-only layers",
            "layer",
            "SNR over SNR of the input",
            [
                *lines[:5],
                Line("claimed", range(layers + 1), [claimed**i for i in range(layers + 1)]),
            ],
        ),
    )


def _tokens(u: Tensor, each: int, noise: float, seed: int) -> Tensor:
    """Tokens (K, N/K, D): U_k a + sum over j != k of U_j e_j."""
    heads, _, head_dim = u.shape
    drawn = torch.randn(heads, each, heads, head_dim, generator=generator(seed), dtype=DTYPE)
    own = torch.eye(heads, dtype=torch.bool)[:, None, :, None]
    return torch.einsum("knjp,jdp->knd", drawn.where(own, noise * drawn), u)


def _layer(z: Tensor, u: Tensor, step_size: float, threshold: float | None) -> Tensor:
    """One layer on tokens (K, N/K, D); softmax without threshold if None."""
    w = z.flatten(0, 1) @ u  # (K, N, P)
    weights = attention.attention_weights(w, w, None, 1.0)
    if threshold is not None:
        weights = threshold * (weights > threshold).to(weights.dtype)
    return z + step_size * torch.einsum("knp,kdp->nd", weights @ w, u).view_as(z)


def _snr(z: Tensor, u: Tensor) -> Tensor:
    """|U_k U_k^T Z_k|_F / |(I - U_k U_k^T) Z_k|_F for every group of tokens, (K,)."""
    own = (z @ u) @ u.mT
    return own.flatten(1).norm(dim=1) / (z - own).flatten(1).norm(dim=1)
