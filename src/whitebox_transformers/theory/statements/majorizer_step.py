"""The other sparsification block of the paper, from a majorizer of the objective itself."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from whitebox_transformers.crate import ista, rates
from whitebox_transformers.theory.draws import DTYPE, gaussian, orthogonal_matrix
from whitebox_transformers.theory.measurement import Case, at_most, equal
from whitebox_transformers.theory.rounding import FLOOR, relative
from whitebox_transformers.theory.statement import Evidence, statement
from whitebox_transformers.theory.tied import apply, operator_config

POWER_STEPS = 30


@statement(
    number=14,
    title="The majorizer block is a proximal step on lambda |A|_1 - R(A)",
    claim=(
        "The curvature of R is at most 9 alpha / 4, and ReLU((1 + 4 / (9 (1 + alpha))) D^T Z - "
        "4 lambda / (9 alpha)) is the proximal step of that length on lambda |A|_1 - R(A), A >= 0, "
        "from A = D^T Z; it lowers that objective."
    ),
    source="arXiv 2306.01129, appendix A.3, equation 92",
)
def majorizer_block_is_proximal(
    width: int = 24,
    tokens: int = 16,
    eps: float = 0.5,
    threshold: float = 0.1,
    seeds: Sequence[int] = (0, 1, 2),
) -> Evidence:
    """Compare the library's block with the exact step, for tokens of three kinds.

    Args:
        width: d; the dictionary is orthogonal.
        tokens: N, at most d where they are to be orthonormal.
        eps: Precision in alpha.
        threshold: lambda.
        seeds: One draw of tokens and dictionary each.
    """
    found: dict[str, tuple[list[float], list[float], list[float]]] = {}
    for seed in seeds:
        dictionary = orthogonal_matrix(width, seed)
        drawn = gaussian(tokens, width, seed=seed + 1)
        kinds = {
            "orthonormal": torch.linalg.qr(drawn[:width].mT).Q.mT,
            "unit length": rates.unit_norm(drawn),
            "LayerNorm": torch.nn.functional.layer_norm(drawn, (width,)),
        }
        for kind, z in kinds.items():
            curvatures, differences, changes = found.setdefault(kind, ([], [], []))
            alpha = width / (len(z) * eps**2)
            length = 4 / (9 * alpha)
            start = z @ dictionary
            slope = rates.coding_rate_gradient(start, eps)
            exact = (start + length * slope - length * threshold).relu()
            block = _block(dictionary, eps, threshold)
            curvatures.append(_curvature(start, eps, seed) / alpha)
            differences.append(relative(apply(block, z), exact))
            before = _objective(start.relu(), eps, threshold)
            changes.append(_objective(apply(block, z), eps, threshold) - before)
    cases = [
        Case(
            [
                at_most("largest curvature of R over alpha", curvatures, 9 / 4),
                equal("relative difference to the exact step", differences, 0.0, FLOOR),
                at_most("change of the objective", changes, 0.0, FLOOR, "nats"),
            ],
            {"tokens": kind},
        )
        for kind, (curvatures, differences, changes) in found.items()
    ]
    largest = max(case.measured[0].value for case in cases)
    return Evidence(
        cases,
        f"Largest curvature found: {largest:.2g} alpha. The formula puts alpha / (1 + alpha) A for "
        "the gradient of R, which is exact for orthonormal tokens only; with A >= 0 the start is "
        "cut off at 0 before the objectives are compared.",
    )


def _block(dictionary: Tensor, eps: float, threshold: float) -> ista.Majorizer:
    width = len(dictionary)
    config = operator_config(
        1, width, width, sparsification="majorizer", threshold=threshold, coding_precision=eps
    )
    block = ista.Majorizer(config).to(DTYPE).requires_grad_(False)
    block.dictionary.copy_(dictionary)
    return block


def _objective(codes: Tensor, eps: float, threshold: float) -> float:
    return (threshold * codes.abs().sum() - rates.coding_rate(codes, eps)).item()


def _curvature(z: Tensor, eps: float, seed: int) -> float:
    """Largest absolute eigenvalue of the Hessian of R at tokens z, by power iteration."""
    point = z.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(rates.coding_rate(point, eps), point, create_graph=True)
    direction, size = gaussian(*z.shape, seed=seed + 2), 0.0
    for _ in range(POWER_STEPS):
        direction = direction / direction.norm()
        (direction,) = torch.autograd.grad(gradient, point, direction, retain_graph=True)
        size = direction.norm().item()
    return size
