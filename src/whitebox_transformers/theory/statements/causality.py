"""Causal operators do not look ahead."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor

from whitebox_transformers.crate import block
from whitebox_transformers.crate.configuration_crate_bert import CrateBertConfig
from whitebox_transformers.crate.configuration_crate_gpt import CrateGPTConfig
from whitebox_transformers.theory.draws import DTYPE, gaussian
from whitebox_transformers.theory.measurement import Case, equal
from whitebox_transformers.theory.rounding import FLOOR, relative
from whitebox_transformers.theory.statement import Evidence, statement

WINDOW = 3


@statement(
    number=28,
    title="Causal forms do not look ahead",
    claim="The output at token t does not change when tokens after t do.",
    source="arXiv 2311.13110 (CRATE-GPT); arXiv 2412.17810 (causal token statistics)",
)
def later_tokens_do_not_matter(
    width: int = 24,
    heads: int = 4,
    head_dim: int = 6,
    tokens: int = 20,
    depth: int = 3,
    seeds: Sequence[int] = (0, 1, 2),
) -> Evidence:
    """Replace all tokens after the middle and compare what comes before.

    Args:
        width: d.
        heads: K.
        head_dim: p.
        tokens: N, at least 2.
        depth: Layers of the CRATE stack.
        seeds: One draw of tokens and weights each.
    """
    errors: dict[str, list[float]] = {}
    leaks = []
    kept = max(tokens // 2, 1)
    for seed in seeds:
        first = gaussian(tokens, width, seed=seed)
        second = torch.cat([first[:kept], gaussian(tokens - kept, width, seed=seed + 1)])
        for name, operator in _causal_operators(width, heads, head_dim, depth, seed).items():
            before, after = operator(first)[:kept], operator(second)[:kept]
            errors.setdefault(name, []).append(relative(after, before))
        open_stack = _stack(width, heads, head_dim, depth, seed, causal=False)
        leaks.append(relative(open_stack(second)[:kept], open_stack(first)[:kept]))
    cases = [
        Case([equal("relative change before t", values, 0.0, FLOOR)], {"operator": name})
        for name, values in errors.items()
    ]
    return Evidence(
        cases,
        f"Largest change {max(case.measured[0].value for case in cases):.1e}; in a bidirectional "
        f"stack {min(leaks):.2g} or more.",
    )


def _causal_operators(
    width: int, heads: int, head_dim: int, depth: int, seed: int
) -> dict[str, Callable[[Tensor], Tensor]]:
    sizes = (width, heads, head_dim, depth, seed)
    return {
        "CRATE-GPT stack, eager": _stack(*sizes, attention="eager"),
        "CRATE-GPT stack, sdpa": _stack(*sizes, attention="sdpa"),
        "CRATE-GPT stack with a window": _stack(*sizes, attention="sdpa", window=WINDOW),
        "CRATE-GPT stack, token statistics": _stack(*sizes, compression="tssa"),
    }


def _stack(
    width: int,
    heads: int,
    head_dim: int,
    depth: int,
    seed: int,
    attention: str = "sdpa",
    causal: bool = True,
    window: int | None = None,
    compression: Literal["mssa", "tssa"] = "mssa",
) -> Callable[[Tensor], Tensor]:
    """Layers of a causal or bidirectional text model, all weights random."""
    family = CrateGPTConfig if causal else CrateBertConfig
    config = family(
        hidden_size=width,
        num_attention_heads=heads,
        head_dim=head_dim,
        num_hidden_layers=depth,
        window=window,
        compression=compression,
    )
    config._attn_implementation = attention
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        stack = block.CrateStack(config).to(DTYPE).eval().requires_grad_(False)
        for name, parameter in stack.named_parameters():
            if "window" in name:  # zero in a fresh model, and then without effect
                parameter.normal_()
    return lambda z: stack(z[None])[0]
