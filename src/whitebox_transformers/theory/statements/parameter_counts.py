"""The published sizes, parameter by parameter."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from whitebox_transformers.crate import CrateConfig, CrateForImageClassification, block
from whitebox_transformers.errors import UserError
from whitebox_transformers.theory.measurement import Case, equal
from whitebox_transformers.theory.statement import Evidence, statement

# As published, or counted from the authors' code at the published sizes.
IMAGENET1K: Mapping[str, int] = {
    "crate-tiny": 6_090_856,
    "crate-small": 13_116_328,
    "crate-base": 22_796_008,
    "crate-large": 77_641_192,
    "crate-alpha-base": 72_328_936,
    "crate-alpha-large-patch14": 253_650_920,
}
IMAGENET21K: Mapping[str, int] = {
    "crate-tiny-patch8": 5_743_057,
    "crate-small-patch8": 14_118_097,
    "crate-base-patch8": 38_830_801,
}
LABELS_21K = 21_841


@statement(
    number=29,
    title="Parameter counts of the published models",
    claim=(
        "A CRATE layer has 3 d^2 + 5 d parameters, a CRATE-alpha layer 10 d^2 + 4 d, and the "
        "models have the published totals."
    ),
    source=(
        "arXiv 2306.01129 and 2311.13110 (1000 labels), arXiv 2308.16271 (patch 8, 21,841 labels), "
        "arXiv 2405.20299 (alpha)"
    ),
)
def parameter_counts(width: int = 60, heads: int = 5) -> Evidence:
    """Build the models without memory for their weights, and layers of a chosen width.

    Args:
        width: d of the layers, a multiple of ``heads``.
        heads: K.

    Raises:
        UserError: The width is no multiple of the heads.
    """
    if width % heads:
        raise UserError(f"width={width} is no multiple of heads={heads}; change one of them")
    expected = {(name, 1000): count for name, count in IMAGENET1K.items()}
    expected |= {(name, LABELS_21K): count for name, count in IMAGENET21K.items()}
    counts: dict[str, tuple[int, int]] = {}
    for (name, labels), published in expected.items():
        config = CrateConfig.from_preset(name, num_labels=labels)
        with torch.device("meta"):
            counts[name] = (_parameters(CrateForImageClassification(config)), published)
    for family, formula in (
        ("crate-base", 3 * width**2 + 5 * width),
        ("crate-alpha-base", 10 * width**2 + 4 * width),
    ):
        config = CrateConfig.from_preset(family, hidden_size=width, num_attention_heads=heads)
        with torch.device("meta"):
            layer = block.CrateLayer(config)
        counts[f"layer of {family}, d = {width}"] = (_parameters(layer), formula)
    cases = [
        Case([equal("parameters", found, published, 0.0)], {"model": name})
        for name, (found, published) in counts.items()
    ]
    return Evidence(cases, f"{sum(case.holds for case in cases)} of {len(cases)} counts agree.")


def _parameters(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
