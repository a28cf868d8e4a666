"""What happens to the tokens when they are put in another order."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from whitebox_transformers.crate import block, ista
from whitebox_transformers.theory.draws import DTYPE, gaussian, generator
from whitebox_transformers.theory.measurement import Case, equal
from whitebox_transformers.theory.rounding import FLOOR, relative
from whitebox_transformers.theory.statement import Evidence, statement
from whitebox_transformers.theory.tied import apply, operator_config


@statement(
    number=9,
    title="MSSA does not know the order of tokens, ISTA treats each by itself",
    claim="MSSA(Z P) = MSSA(Z) P for every permutation P, and ISTA(Z)_i = ISTA(z_i).",
    source="arXiv 2306.01129, equations 12 and 17",
)
def order_and_independence_of_tokens(
    width: int = 24,
    heads: int = 4,
    head_dim: int = 6,
    tokens: int = 40,
    step_size: float = 0.1,
    threshold: float = 0.1,
    seeds: Sequence[int] = (0, 1, 2),
) -> Evidence:
    """Permute the tokens of the operators and of a layer, and give ISTA one token at a time.

    Args:
        width: d.
        heads: K.
        head_dim: p.
        tokens: N, drawn standard normal.
        step_size: eta of ISTA.
        threshold: lambda of ISTA.
        seeds: One draw of tokens, weights and order each.
    """
    fields = {"step_size": step_size, "threshold": threshold}
    found: dict[str, list[float]] = {}
    for seed in seeds:
        z = gaussian(tokens, width, seed=seed)
        order = torch.randperm(tokens, generator=generator(seed + 1))
        layer = _layer(operator_config(heads, width, head_dim, **fields), seed)
        dictionary = gaussian(width, width, seed=seed + 2) / width**0.5
        assert layer.compress is not None
        permuted: dict[str, Callable[[Tensor], Tensor]] = {
            "MSSA": lambda z, part=layer.compress.mssa: apply(part, z),
            "layer": lambda z, part=layer: apply(part, z),
        }
        for name, map_tokens in permuted.items():
            error = relative(map_tokens(z[order]), map_tokens(z)[order])
            found.setdefault(f"{name}, permuted", []).append(error)
        for form in ("tokens", "gram"):
            together = ista.ista(z, dictionary, step_size, threshold, form)
            alone = [
                ista.ista(token, dictionary, step_size, threshold, form) for token in z.split(1)
            ]
            found.setdefault(f"ISTA ({form}), alone", []).append(
                relative(torch.cat(alone), together)
            )
    cases = [
        Case([equal("relative difference", errors, 0.0, FLOOR)], {"operator": name})
        for name, errors in found.items()
    ]
    worst = max(case.measured[0].value for case in cases)
    return Evidence(cases, f"Largest relative difference {worst:.1e}.")


def _layer(config, seed: int) -> block.CrateLayer:
    """A layer with weights of its own seed, and no other effect on random numbers."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return block.CrateLayer(config).to(DTYPE).eval()
