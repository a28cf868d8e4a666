"""The objective of the sparsification step.

Legend: N tokens, D width, M atoms. Tokens are rows.
"""

from __future__ import annotations

from torch import Tensor


def lasso_objective(
    v: Tensor, codes: Tensor, dictionary: Tensor, threshold: float | Tensor
) -> Tensor:
    """``lambda |a|_1 + 1/2 |v - D a|^2`` of every token (arXiv 2306.01129, equations 15 to 17).

    Args:
        v: Tokens (..., N, D).
        codes: Their coefficients (..., N, M).
        dictionary: Atoms as columns (D, M).
        threshold: lambda.

    Returns:
        (..., N). The constraint a >= 0 is the caller's.
    """
    residual = v - codes @ dictionary.mT
    return threshold * codes.abs().sum(-1) + residual.square().sum(-1) / 2


__all__ = ["lasso_objective"]
