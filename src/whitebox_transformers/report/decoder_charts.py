"""The decoder of a masked autoencoder, layer by layer, and how far it undoes the encoder."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from whitebox_transformers.analysis.inversion import Inversion
from whitebox_transformers.analysis.layer_report import LayerCurve
from whitebox_transformers.report.axes import number
from whitebox_transformers.report.content import Chart, Curve, Heatmap, HeatmapGrid, Role, Section
from whitebox_transformers.report.layer_charts import Curves, Quantity, chart_of

_ENTERING = "decoder layer entered (last point: output)"
_QUANTITIES = [
    Quantity(
        "rate-published-z-half",
        r"Published $R^c$ at $Y^{\ell+1/2}$, before attention is subtracted",
        r"compression rate $R^c$ (nats)",
        "Tokens after the layer's dictionary, as its attention sees them: LayerNorm, its subspaces "
        r"$V$, rows at unit length, $\epsilon^2=0.01$.",
        "The decoder runs the encoder's process backwards, so that this rises with depth where the "
        "encoder's falls.",
        "decoder layer",
    ),
    Quantity(
        "rate-definition-z",
        r"Defined $R^c$ at $Y^\ell$",
        r"compression rate $R^c$ (nats)",
        r"Raw tokens by the layer's subspaces, lengths kept, $\epsilon=0.1$.",
        "Subtracting the step that compresses is to raise it; the dictionary in between makes "
        "tokens anew from LayerNorm.",
        "decoder layer",
    ),
    Quantity(
        "rate-unit",
        r"$R(Y^\ell)$ of unit-norm tokens",
        "coding rate $R$ (nats)",
        r"Nats needed for the directions of all tokens, $\epsilon=0.1$.",
        "Tokens of hidden patches begin alike and must become different, which raises it.",
        _ENTERING,
    ),
    Quantity(
        "norm-z",
        r"Length of the tokens at $Y^\ell$",
        "mean Euclidean norm",
        "Average length of a token entering each layer of the decoder.",
        "Every layer begins with LayerNorm and a dictionary, so lengths stay bounded.",
        _ENTERING,
    ),
    Quantity(
        "nonzero-share",
        "Share of numbers that are not zero",
        "non-zero share (0 to 1)",
        r"$\Vert Y^{\ell+1}\Vert_0/(dN)$.",
        "The decoder has no threshold: the sparse code of the encoder becomes dense in its first "
        "layer and stays so.",
        "decoder layer",
    ),
]


def decoder_section(measured: Mapping[str, Curves], residual: bool) -> Section:
    """Charts of the decoder's layers.

    Args:
        measured: Curves by measure for ``"train"``, ``"validation"`` and ``"control"``.
        residual: Whether a layer takes a residual sparse step back in place of ``E LN Y``.
    """
    first = (
        r"takes a sparse step back, $Y^{\ell+1/2}=Y^\ell-S(Y^\ell)$"
        if residual
        else r"applies its dictionary, $Y^{\ell+1/2}=E\,LN(Y^\ell)$"
    )
    charts = [
        chart_of(quantity, measured, "decoder-")
        for quantity in _QUANTITIES
        if quantity.key in measured["validation"]
    ]
    return Section(
        "decoder",
        "The decoder",
        f"Each layer {first}, then subtracts its attention step. Measured on masked images, as in "
        "training.",
        charts,
    )


def inversion_section(found: Inversion, control: Inversion) -> Section:
    """Whether decoder layer l undoes encoder layer L + 1 - l, beside the untrained control."""
    charts = [
        _similarity(found, control),
        *_weights(found, control),
        _rates(found),
    ]
    return Section(
        "inversion",
        "Does the decoder invert?",
        r"Decoder layer $\ell$ is meant to undo encoder layer $L+1-\ell$, so that the tokens after "
        r"$d$ decoder layers are to be those the encoder had $d$ layers before its end. The "
        r"mathematics promises it for shared weights and small steps only.",
        charts,
        [_table(found, control)],
    )


def inversion_findings(found: Inversion, control: Inversion) -> list[str]:
    """The end points as a sentence."""
    first, last = _ends(found.curves["pair_similarity"].mean)
    fresh = _ends(control.curves["pair_similarity"].mean)
    return [
        f"Similarity of the decoder's tokens with those of the encoder that they are to restore: "
        f"{number(first)} where the decoder begins, {number(last)} at its end; the untrained "
        f"control {number(fresh[0])} and {number(fresh[1])}."
    ]


def _ends(values: list[float]) -> tuple[float, float]:
    return values[0], values[-1]


def _similarity(found: Inversion, control: Inversion) -> Chart:
    return Chart(
        "inversion-tokens",
        r"Similarity of $Y^d$ and $Z^{L-d}$",
        "linear CKA (0 to 1)",
        "decoder layers passed, d",
        [
            _curve("untrained control", "control", control.curves["pair_similarity"]),
            _curve("trained", "validation", found.curves["pair_similarity"]),
        ],
        "Linear CKA of the two token sets of each image: 1 if one is the other up to rotation, "
        "scale and a common shift. At $d=0$ they differ by the LayerNorm between the halves.",
        "A decoder that retraces the encoder keeps the curve high to the end. Decoder tokens that "
        "only serve the pixels leave it.",
    )


def _weights(found: Inversion, control: Inversion) -> list[Chart]:
    charts = []
    if "subspace_overlap" in found.weights:
        charts.append(
            Chart(
                "inversion-subspaces",
                r"Overlap of subspaces $V^\ell$ and $U^{L+1-\ell}$",
                "squared cosine (0 to 1)",
                "decoder layer",
                [
                    _points("untrained control", "control", control.weights["subspace_overlap"]),
                    _points("trained", "validation", found.weights["subspace_overlap"]),
                ],
                "For every head of the decoder the largest mean squared cosine of principal angles "
                "with a head of the paired encoder layer, averaged over heads.",
                "1 if every head has its partner. Heads that have nothing to do with each other "
                "lie at the control.",
            )
        )
    if "dictionary_cosine" in found.weights:
        charts.append(_dictionaries(found, control))
    return charts


def _dictionaries(found: Inversion, control: Inversion) -> Chart:
    lines = [
        _points("untrained, with D", "control", control.weights["dictionary_cosine"]),
        _points("with D", "model", found.weights["dictionary_cosine"]),
    ]
    how = r"$\langle E,D\rangle/(\Vert E\Vert\,\Vert D\Vert)$"
    transposed = found.weights.get("transposed_cosine")  # of square dictionaries alone
    if transposed is not None:
        lines.append(_points("with D transposed", "baseline", transposed))
        how += r", and the same with $D^\top$"
    return Chart(
        "inversion-dictionaries",
        r"Dictionary $E^\ell$ beside $D^{L+1-\ell}$",
        "cosine of the matrices (-1 to 1)",
        "decoder layer",
        lines,
        f"{how}.",
        "The ideal decoder has $E=D$, hence 1. Independent matrices have 0.",
    )


def _rates(found: Inversion) -> Chart:
    return Chart(
        "inversion-rates",
        r"Rates along the way back: $R(Y^d)$ and $R(Z^{L-d})$",
        "coding rate $R$ (nats)",
        "decoder layers passed, d",
        [
            _curve("encoder, d layers before its end", "baseline", found.curves["encoder_rate"]),
            _curve("decoder, after d layers", "model", found.curves["decoder_rate"]),
        ],
        r"Unit-norm tokens, $\epsilon=0.1$, the same masked images.",
        "A decoder that retraces the encoder has the encoder's rates in reverse.",
    )


def _table(found: Inversion, control: Inversion) -> HeatmapGrid:
    return HeatmapGrid(
        "inversion-all",
        "Similarity of decoder and encoder states",
        "linear CKA",
        [
            Heatmap("Trained", np.asarray(found.token_similarity)),
            Heatmap("Untrained", np.asarray(control.token_similarity)),
        ],
        "Rows: decoder states from $Y^0$ (top); columns: encoder states from $Z^0$ (left). Pairs "
        "lie on the diagonal from the top right corner.",
        "If each layer undid its own partner, that diagonal would be the brightest of each row.",
    )


def _curve(name: str, role: Role, measured: LayerCurve) -> Curve:
    places = [float(place) for place in range(len(measured.mean))]
    return Curve(name, role, places, measured.mean, measured.std)


def _points(name: str, role: Role, values: list[float]) -> Curve:
    return Curve(name, role, [float(layer) for layer in range(1, len(values) + 1)], values)
