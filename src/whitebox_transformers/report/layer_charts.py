"""What is measured layer by layer, the words that explain it, and the charts made of it.

The expectations say what the derivation promises, not what was found: which way MSSA moves the
compression rate depends on the convention, so every chart names its convention and shows the
untrained control (arXiv 2311.13110, layer-wise analysis; conventions as in ``crate/rates.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from whitebox_transformers.analysis.layer_report import LayerCurve
from whitebox_transformers.report.axes import number
from whitebox_transformers.report.content import Chart, Curve, Role, Section

Curves = Mapping[str, LayerCurve]


@dataclass(frozen=True)
class Quantity:
    """A measure, and the words around its chart."""

    key: str
    title: str
    y_label: str
    shows: str
    expected: str
    x_label: str = "layer"


_ENTERING = "layer entered (last point: output)"
_PUBLISHED = (
    "Convention published, as in the authors' plotting code: tokens after the layer's first "
    r"LayerNorm, projected on its subspaces, every row of a head at unit length, $\epsilon^2=0.01$."
)
_DEFINITION = (
    "Convention definition: raw tokens, projected on the layer's subspaces, lengths kept, "
    r"$\epsilon=0.1$."
)
_RATES = [
    Quantity(
        "rate-published-z",
        r"Published $R^c$ at $Z^\ell$, before attention",
        r"compression rate $R^c$ (nats)",
        f"How many nats the tokens need when each head codes its own share. {_PUBLISHED}",
        "Layers that compress step by step make this curve fall with depth, on train and "
        "validation alike. What the grey control does too is the architecture's doing, not "
        "training's.",
    ),
    Quantity(
        "rate-published-z-half",
        r"Published $R^c$ at $Z^{\ell+1/2}$, after attention",
        r"compression rate $R^c$ (nats)",
        "The same rate, by the same layer's subspaces, after its attention step was added. "
        f"{_PUBLISHED}",
        r"A step that draws the tokens of a head together lies below the value at $Z^\ell$ of the "
        "same layer.",
    ),
    Quantity(
        "rate-definition-z",
        r"Defined $R^c$ at $Z^\ell$, before attention",
        r"compression rate $R^c$ (nats)",
        f"The rate as the paper defines it. {_DEFINITION}",
        "Lower means more compact, but token length counts here: longer tokens cost more nats. "
        "Read it together with the norms.",
    ),
    Quantity(
        "rate-definition-z-half",
        r"Defined $R^c$ at $Z^{\ell+1/2}$, after attention",
        r"compression rate $R^c$ (nats)",
        f"The defined rate after the attention step was added. {_DEFINITION}",
        "A gradient step on this rate would lower it. Adding attention output lengthens tokens "
        "and may raise it instead, even while the published rate falls.",
    ),
]
_EXPANSION = [
    Quantity(
        "rate-raw",
        r"$R(Z^\ell)$ of raw tokens",
        "coding rate $R$ (nats)",
        r"Nats needed for all tokens without subspaces, $\alpha=d/(N\epsilon^2)$, $\epsilon=0.1$.",
        "The objective wants this high while the compression rate is low: the whole stays spread "
        "out, each group becomes compact.",
        _ENTERING,
    ),
    Quantity(
        "rate-unit",
        r"$R(Z^\ell)$ of unit-norm tokens",
        "coding rate $R$ (nats)",
        "The same with every token scaled to length one, so that only directions count.",
        "A representation that does not collapse keeps this from falling towards zero.",
        _ENTERING,
    ),
    Quantity(
        "norm-z",
        r"Length of the tokens at $Z^\ell$",
        "mean Euclidean norm",
        "Average length of a token entering each layer; layer 1 receives the embedding.",
        r"Every sparsification step rebuilds the tokens from LayerNorm, so lengths stay bounded "
        "from layer 2 on.",
        _ENTERING,
    ),
    Quantity(
        "norm-z-half",
        r"Length of the tokens at $Z^{\ell+1/2}$",
        "mean Euclidean norm",
        "Average length of a token after the attention step was added.",
        r"The gap to the length at $Z^\ell$ is the size of the attention step.",
    ),
]
_SPARSITY = [
    Quantity(
        "nonzero-share",
        "Share of coefficients that are not zero",
        "non-zero share (0 to 1)",
        r"$\Vert Z^{\ell+1}\Vert_0/(dN)$: exact non-zeros of the layer's output, all tokens "
        "counted, averaged over samples.",
        "Sparsification lowers this with depth. An untrained network zeroes many entries too, so "
        "only the gap to the control was learned. A rise in the last layer is common: the linear "
        "head reads it.",
    ),
    Quantity(
        "nonzero-share-codes",
        "Share of codes that are not zero",
        "non-zero share (0 to 1)",
        "Exact non-zeros of the coefficients inside the sparsification block, which are not the "
        "layer's output here.",
        "The block searches for few active atoms per token; the gap to the control was learned.",
    ),
]
_CHAPTERS = [
    (
        "compression",
        "Compression",
        "The attention step of every layer is derived as a descent step on the compression rate "
        "$R^c$. Two conventions are in use and need not agree; both are shown, before and after "
        "the step.",
        _RATES,
    ),
    (
        "sparsity",
        "Sparsity",
        "The second step of every layer is one proximal step towards a sparse code in the layer's "
        "dictionary.",
        _SPARSITY,
    ),
    (
        "expansion",
        "Expansion and length",
        "The objective also asks that all tokens together keep a high coding rate $R$; otherwise "
        "mapping everything to one point would compress perfectly.",
        _EXPANSION,
    ),
]
_CURVES: dict[str, tuple[str, Role]] = {
    "control": ("untrained control, validation", "control"),
    "train": ("train", "train"),
    "validation": ("validation", "validation"),
}


def layer_sections(measured: Mapping[str, Curves]) -> list[Section]:
    """Chapters of every quantity that at least one of the sets has.

    Args:
        measured: Curves by measure for ``"train"``, ``"validation"`` and ``"control"``.
    """
    sections = []
    for key, title, introduction, quantities in _CHAPTERS:
        charts = [
            chart_of(quantity, measured)
            for quantity in quantities
            if any(quantity.key in statistics for statistics in measured.values())
        ]
        if charts:
            sections.append(Section(key, title, introduction, charts))
    return sections


def training_section(by_step: Mapping[int, Curves]) -> Section | None:
    """Rate and sparsity by layer, one curve per kept checkpoint; None if nothing was kept."""
    steps = sorted(by_step)
    charts = []
    for quantity in (*_RATES, *_SPARSITY):
        held = [step for step in steps if quantity.key in by_step[step]]
        if not held:
            continue
        last = max(len(held) - 1, 1)
        curves = [
            replace(
                _curve(
                    f"step {step:,}", "step" if step else "control", by_step[step][quantity.key]
                ),
                shade=place / last,
                std=None,
            )
            for place, step in enumerate(held)
        ]
        charts.append(
            Chart(
                f"training-{quantity.key}",
                quantity.title,
                quantity.y_label,
                "layer",
                curves,
                "Validation samples, one curve per kept checkpoint, untrained in grey, then "
                "from the first to the last step in one run of colours.",
                "If training is what compresses and sparsifies, the curves sink one after another.",
            )
        )
    if not charts:
        return None
    return Section(
        "over-training",
        "Over training",
        "The same measurements at the checkpoints the run kept and for the weights inspected here; "
        "step 0 is before training.",
        charts,
    )


def findings(measured: Mapping[str, Curves]) -> list[str]:
    """First and last layer of the main quantities, trained beside untrained, as sentences."""
    sentences = []
    for quantity in (_RATES[0], *_SPARSITY):
        if quantity.key not in measured.get("validation", {}):
            continue
        trained = measured["validation"][quantity.key].mean
        sentence = f"{quantity.title}: {_first_to_last(trained)} on validation"
        control = measured.get("control", {}).get(quantity.key)
        if control is not None:
            sentence += f"; the untrained control {_first_to_last(control.mean)}"
        sentences.append(sentence + ".")
    return sentences


def chart_of(quantity: Quantity, measured: Mapping[str, Curves], prefix: str = "") -> Chart:
    """One measure of all sets that have it; ``prefix`` goes before the chart's key."""
    return Chart(
        prefix + quantity.key,
        quantity.title,
        quantity.y_label,
        quantity.x_label,
        _sets(measured, quantity.key),
        quantity.shows,
        quantity.expected,
    )


def _sets(measured: Mapping[str, Curves], key: str) -> list[Curve]:
    return [
        _curve(name, role, measured[which][key])
        for which, (name, role) in _CURVES.items()
        if key in measured.get(which, {})
    ]


def _curve(name: str, role: Role, measured: LayerCurve) -> Curve:
    layers = [float(layer) for layer in range(1, len(measured.mean) + 1)]
    return Curve(name, role, layers, measured.mean, measured.std)


def _first_to_last(values: list[float]) -> str:
    if len(values) == 1:
        return number(values[0])
    return f"{number(values[0])} in layer 1, {number(values[-1])} in layer {len(values)}"
