"""The decoder's compression step as the inverse of the encoder's."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from whitebox_transformers.crate import block, rates
from whitebox_transformers.theory.chart import Chart, Line
from whitebox_transformers.theory.draws import DTYPE, gaussian, orthogonal_subspaces
from whitebox_transformers.theory.measurement import Case, at_most, equal
from whitebox_transformers.theory.statement import Evidence, statement
from whitebox_transformers.theory.tied import apply, compress, operator_config

PUBLISHED = 1.0
SMALL = "small"


@statement(
    number=23,
    title="Subtracting the step undoes adding it",
    claim=(
        "The decoder's Y - k MSSA(Y) inverts the encoder's Z + k MSSA(Z) with the same bases; the "
        "published networks have k = 1."
    ),
    source="arXiv 2311.13110, section 3 (structured diffusion), encoder and decoder layers",
)
def decoder_inverts_encoder(
    width: int = 24,
    heads: int = 4,
    head_dim: int = 6,
    tokens: int = 40,
    eps: float = 0.5,
    largest_step: float = 0.1,
    halvings: int = 6,
    tolerance: float = 0.05,
    seeds: Sequence[int] = (0, 1, 2),
) -> Evidence:
    """Error of the round trip for steps halved again and again, and at k = 1.

    An error of order k^2 falls by 4 with every halving.

    Args:
        width: d.
        heads: Number of orthogonal subspaces K of the tied form.
        head_dim: Their dimension p.
        tokens: N, drawn standard normal.
        eps: Precision of the rate whose exact gradient is tried as well.
        largest_step: The largest k of the series.
        halvings: How often it is halved.
        tolerance: Relative error at k = 1 that still counts as inverted.
        seeds: One draw of tokens and weights each.

    Raises:
        UserError: K p exceeds the width.
    """
    steps = [largest_step / 2**i for i in range(halvings + 1)]
    ratios: dict[str, list[float]] = {}
    at_one: dict[str, list[float]] = {}
    lines = []
    for seed in seeds:
        z = gaussian(tokens, width, seed=seed)
        for name, move in _layers(width, heads, head_dim, tokens, eps, seed).items():
            errors = [_round_trip(move, z, k) for k in steps]
            ratios.setdefault(name, []).append(errors[-2] / errors[-1])
            at_one.setdefault(name, []).append(_round_trip(move, z, PUBLISHED))
            if seed == seeds[0]:
                lines.append(Line(name, steps, errors))
    limit = [
        Case(
            [equal("error over error at half the step", values, 4.0, 0.2)],
            {"k": SMALL, "layer": name},
        )
        for name, values in ratios.items()
    ]
    one = [
        Case(
            [at_most("relative error of the round trip", values, 0.0, tolerance)],
            {"k": "1", "layer": name},
        )
        for name, values in at_one.items()
    ]
    at = "; ".join(f"{name} {max(values):.2g}" for name, values in at_one.items())
    return Evidence(
        [*limit, *one],
        f"Relative error at k = 1: {at}.",
        chart=Chart(
            "Encoder step, then decoder step",
            "step k",
            "relative error of the round trip",
            [*lines, Line("$k^2$", steps, [k**2 for k in steps])],
            log_x=True,
            log_y=True,
        ),
    )


def _layers(
    width: int, heads: int, head_dim: int, tokens: int, eps: float, seed: int
) -> dict[str, Callable[[Tensor, int, float], Tensor]]:
    """Maps of tokens, sign and k; sign +1 encodes and -1 decodes."""
    u = orthogonal_subspaces(width, heads, head_dim, seed + 1)
    tied = {sign: compress(u, sign) for sign in (1, -1)}
    free = _free_pair(width, heads, head_dim, seed)
    gamma = head_dim / (tokens * eps**2)
    return {
        "tied output": lambda z, sign, k: _scaled(tied[sign], z, k),
        "free output": lambda z, sign, k: _scaled(free[sign], z, k),
        "exact gradient": lambda z, sign, k: (
            z - sign * k / gamma * rates.compression_rate_gradient(z, u, eps)
        ),
    }


def _free_pair(width: int, heads: int, head_dim: int, seed: int) -> dict[int, block.Compress]:
    """Encoder and decoder halves that share untrained weights, output matrix included."""
    halves = {}
    for sign in (1, -1):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            config = operator_config(heads, width, head_dim, mssa_sign=sign)
            halves[sign] = block.Compress(config).to(DTYPE).eval()
    return halves


def _scaled(half: block.Compress, z: Tensor, k: float) -> Tensor:
    """The layer's first half with its step times k."""

    def scale(module: nn.Module, inputs: tuple[Tensor, ...], step: Tensor) -> Tensor:
        return k * step

    handle = half.step.register_forward_hook(scale)
    try:
        return apply(half, z)
    finally:
        handle.remove()


def _round_trip(move: Callable[[Tensor, int, float], Tensor], z: Tensor, k: float) -> float:
    there_and_back = move(move(z, 1, k), -1, k)
    return ((there_and_back - z).norm() / z.norm()).item()
