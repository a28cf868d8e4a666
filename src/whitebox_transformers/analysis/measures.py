"""What can be measured at a layer, by names that say the quantity, the convention and the place.

Places, for layer l: Z^l is the layer's input, Z^{l+1/2} is what its compression step made of it,
Z^{l+1} is its output. Conventions as in ``crate/rates.py``. N counts every token of a sample that
is not padding.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from whitebox_transformers.crate.ablations import MLP
from whitebox_transformers.crate.ista import OvercompleteISTA
from whitebox_transformers.crate.mssa import SubspaceStep
from whitebox_transformers.errors import UserError

from .layers import white_box_layers

_PUBLISHED = (
    "R^c of LN1 of the layer (then its window, if any), its U, rows unit-norm per head, "
    "eps^2 = 0.01"
)
_DEFINITION = "R^c of raw tokens, U of the layer, eps = 0.1"

MEASURES: dict[str, str] = {
    "rate-published-z": f"{_PUBLISHED}, at Z^l; nats",
    "rate-published-z-half": f"{_PUBLISHED}, at Z^{{l+1/2}}; nats",
    "rate-definition-z": f"{_DEFINITION}, at Z^l; nats",
    "rate-definition-z-half": f"{_DEFINITION}, at Z^{{l+1/2}}; nats",
    "rate-raw": "R of raw tokens, alpha = d / (N eps^2), eps = 0.1, at Z^l and the last output; "
    "nats",
    "rate-unit": "R of unit-norm tokens, alpha = d / (N eps^2), eps = 0.1, at Z^l and the last "
    "output; nats",
    "nonzero-share": "||Z^{l+1}||_0 / (d N), class token included",
    "nonzero-share-codes": "share of non-zero coefficients where they are not the layer's output",
    "norm-z": "mean Euclidean length of a token, at Z^l and the last output",
    "norm-z-half": "mean Euclidean length of a token, at Z^{l+1/2}",
}
_OWN = "by the subspaces of the layer; nats"
_OBJECTIVE = "R - R^c - 0.1 ||Z||_0"
STEP_MEASURES: dict[str, str] = {
    **{
        f"{step}-rate-{convention}": f"R^c ({convention}) at {after} minus at {before}, {_OWN}"
        for step, before, after in (
            ("compress", "Z^l", "Z^{l+1/2}"),
            ("sparsify", "Z^{l+1/2}", "Z^{l+1}"),
        )
        for convention in ("published", "definition")
    },
    **{
        f"{step}-expansion-{kind}": f"R of {kind} tokens at {after} minus at {before}; nats"
        for step, before, after in (
            ("compress", "Z^l", "Z^{l+1/2}"),
            ("sparsify", "Z^{l+1/2}", "Z^{l+1}"),
        )
        for kind in ("raw", "unit")
    },
    "compress-descent-published": "cosine of Z^{l+1/2} - Z^l with -grad R^c (published) at Z^l, "
    "the gradient by Z^l itself, through LayerNorm and unit length",
    "compress-descent-definition": "cosine of Z^{l+1/2} - Z^l with -grad R^c (definition) at Z^l",
    "compress-tied": "cosine of MSSA's output with what [U_1, ..., U_K] makes of the same averages",
    "sparsify-lasso-start": "lambda |a|_1 + 1/2 |v - D a|^2 where the proximal step starts: "
    "relu(v), v of a soft threshold, 0 of an overcomplete dictionary; mean over tokens",
    "sparsify-lasso-end": "the same at the step's coefficients",
    **{
        f"objective-{convention}-{place}": f"{_OBJECTIVE} at {where}, {said}, {_OWN}"
        for convention, said in (
            ("published", "R of unit-norm tokens and R^c as published"),
            ("definition", "R and R^c of raw tokens"),
        )
        for place, where in (("z", "Z^l"), ("z-half", "Z^{l+1/2}"), ("z-next", "Z^{l+1}"))
    },
}
DEFINITIONS = MEASURES | STEP_MEASURES
CHEAP = ("rate-published-z", "nonzero-share")
_BLACK_BOX = ("rate-raw", "rate-unit", "nonzero-share", "norm-z")


def available_measures(model: nn.Module) -> tuple[str, ...]:
    """The measures that are defined for this model.

    R^c needs subspaces, so ordinary attention has none; a black box is measured at its hidden
    states alone.

    Raises:
        UserError: The model is folded.
    """
    layers = white_box_layers(model)
    if not layers:
        return _BLACK_BOX
    compress, sparsify = layers[0].compress, layers[0].sparsify
    missing = set()
    if layers[0].sparsify_first:  # its MSSA never sees Z^l
        missing.add("rate-published-z")
    if compress is None or not isinstance(compress.mssa, SubspaceStep):
        missing |= {key for key in MEASURES if _is_compression_rate(key)}
    if sparsify is None or not isinstance(sparsify.ista, OvercompleteISTA | MLP):
        missing.add("nonzero-share-codes")
    return tuple(key for key in MEASURES if key not in missing)


def choose_measures(model: nn.Module, measures: Sequence[str] | None) -> tuple[str, ...]:
    """The measures asked for, or all that are available.

    Raises:
        UserError: One is unknown, or not defined for this model.
    """
    available = available_measures(model)
    for key in measures or ():
        if key not in MEASURES:
            raise UserError(f"no measure is called {key!r}; choose from {', '.join(MEASURES)}")
        if key not in available:
            raise UserError(
                f"{key} is not defined for this {type(model).__name__}; "
                f"it has {', '.join(available)}"
            )
    return available if measures is None else tuple(measures)


def _is_compression_rate(key: str) -> bool:
    return key.startswith(("rate-published", "rate-definition"))
