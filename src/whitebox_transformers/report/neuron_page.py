"""The page of single coefficients: a list to search and sort, every entry opens.

Everything can be read without the script, which only sorts, filters and moves the focus.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from html import escape

from whitebox_transformers.analysis.neuron_effect import Effect, Shift
from whitebox_transformers.analysis.neurons import Excerpt
from whitebox_transformers.report.axes import number
from whitebox_transformers.report.chart_cards import draw_section
from whitebox_transformers.report.content import Section
from whitebox_transformers.report.marked_text import marked
from whitebox_transformers.report.neuron_view import NeuronView, Summary, interval_names
from whitebox_transformers.report.notation import to_html
from whitebox_transformers.report.page import asset, document, facts_list, provenance_section
from whitebox_transformers.report.token_text import TokenText

PREVIEW = 5
BAR_WIDTH, BAR_HEIGHT = 7, 46

SORTS = (
    ("effect", "effect on predictions"),
    ("share", "share of tokens active"),
    ("largest", "largest value"),
    ("layer", "layer and number"),
)


@dataclass(frozen=True)
class NeuronReport:
    """Everything the page says.

    Attributes:
        title: Name of the run.
        lead: One or two sentences on what the page shows.
        facts: Short label and value pairs.
        overview: Charts over all coefficients.
        views: The coefficients shown, in the order of the page.
        changes: By the name of a change, what it does, in words.
        text: Tokens as text.
        outcome: Names of what is predicted.
        place: What the position of an effect is called, e.g. "next token".
        provenance: What is needed to repeat the measurement.
        notes: Whatever was left out, with the reason.
    """

    title: str
    lead: str
    facts: list[tuple[str, str]]
    overview: Section
    views: list[NeuronView]
    changes: dict[str, str]
    text: TokenText
    outcome: Callable[[int], str]
    place: str
    provenance: list[tuple[str, str]]
    notes: list[str]


def render_neurons(report: NeuronReport) -> str:
    """The whole page as text; style and script are inside it."""
    notes = "".join(f"<li>{to_html(note)}</li>" for note in report.notes)
    left_out = f'<div class="warnings"><ul>{notes}</ul></div>' if notes else ""
    entries = "".join(_entry(view, report) for view in report.views)
    main = (
        f"{left_out}{draw_section(report.overview)}"
        f'<section id="neurons"><h2>Coefficients</h2>{_reading(report)}{_controls(report)}'
        f'<div class="neurons">{entries}</div></section>'
        f"{provenance_section(report.provenance)}"
    )
    header = (
        f'<header><p class="kind">Inside the sparse code</p><h1>{escape(report.title)}</h1>'
        f'<p class="lead">{to_html(report.lead)}</p>{facts_list(report.facts)}</header>'
    )
    return document(
        f"{report.title}: coefficients",
        header + f'<main id="main">{main}</main>',
        styles=asset("neurons.css"),
        script=asset("neurons.js"),
    )


def _reading(report: NeuronReport) -> str:
    changes = "".join(
        f"<li><b>{escape(name)}</b>: {escape(words)}</li>" for name, words in report.changes.items()
    )
    return (
        "<p>Every entry is one coefficient of a layer's sparse code. The darker a token is marked, "
        "the larger the coefficient is at it, relative to the largest value seen; the outlined "
        "token is the one the excerpt was chosen for. Open an entry with a click or Enter.</p>"
        f"<details><summary>What the effects are</summary><ul>{changes}</ul>"
        f"<p>KL(before || after) of the model's {escape(report.place)} probabilities in nats, and "
        "the tokens whose probability moved most, in percentage points: averaged over the tokens "
        "of a fixed probe at which the coefficient is active, and at the outlined token of the "
        "first excerpt. The change is made at every token of the text at once.</p></details>"
    )


def _controls(report: NeuronReport) -> str:
    layers = sorted({view.neuron.layer for view in report.views})
    options = "".join(f'<option value="{layer}">layer {layer + 1}</option>' for layer in layers)
    sorts = "".join(f'<option value="{key}">{words}</option>' for key, words in SORTS)
    return (
        '<form class="controls" hidden role="search">'
        '<label>Search <input id="search" type="search" placeholder="token or text" '
        'autocomplete="off" spellcheck="false"></label>'
        f'<label>Sort by <select id="sort">{sorts}</select></label>'
        f'<label>Show <select id="layer"><option value="">all layers</option>{options}</select>'
        '</label><span id="count" role="status"></span>'
        "<small>Keys: / search, j and k next and previous, Enter opens</small></form>"
    )


def _entry(view: NeuronView, report: NeuronReport) -> str:
    neuron, summary = view.neuron, view.summary
    name = f"Layer {neuron.layer + 1} · {neuron.index}"
    share = f"{100 * summary.share_active:.1f}"
    return (
        f'<details class="neuron" id="layer-{neuron.layer + 1}-neuron-{neuron.index}" '
        f'data-layer="{neuron.layer}" data-index="{neuron.index}" '
        f'data-share="{summary.share_active:.5f}" data-largest="{summary.largest:.5g}" '
        f'data-effect="{view.effect:.6g}"><summary><b>{name}</b>'
        f'<span class="gist">{_gist(view, report.text)}</span>'
        f'<span class="meter" style="--share:{share}%"><i></i>{share} % active</span>'
        f'<span class="kl">{number(view.effect)} nats</span></summary>'
        f'<div class="inside">{_examples(view, report)}'
        f"<div>{_effects(view, report)}{_distribution(summary)}</div></div></details>"
    )


def _gist(view: NeuronView, text: TokenText) -> str:
    """The tokens of the strongest excerpts, each once."""
    tokens = dict.fromkeys(e.tokens[e.token - e.begin] for e in view.neuron.top)
    names = [escape(text.name(token)) for token in list(tokens)[:PREVIEW]]
    return " ".join(f"<code>{name}</code>" for name in names) or "never active"


def _examples(view: NeuronView, report: NeuronReport) -> str:
    largest = view.summary.largest
    parts = [_excerpts("Strongest", view.neuron.top, largest, report.text)]
    named = list(zip(interval_names(), view.neuron.between, strict=False))
    parts += [
        _excerpts(f"Drawn at random: {name} of the active values", part, largest, report.text)
        for name, part in reversed(named)
        if part
    ]
    return f"<div>{''.join(parts)}</div>"


def _excerpts(title: str, excerpts: list[Excerpt], largest: float, text: TokenText) -> str:
    if not excerpts:
        return f"<h4>{title}</h4><p>none</p>"
    items = "".join(
        f"<li><data>{number(e.values[e.token - e.begin])}</data>"
        f"<span>{_marked(e, largest, text)}</span></li>"
        for e in excerpts
    )
    return f'<h4>{title}</h4><ol class="excerpts">{items}</ol>'


def _marked(excerpt: Excerpt, largest: float, text: TokenText) -> str:
    """The excerpt's text; a token at which the coefficient is active is a mark with its value."""
    pieces = [text.visible(token) for token in excerpt.tokens]
    return marked(pieces, excerpt.values, largest, excerpt.token - excerpt.begin)


def _effects(view: NeuronView, report: NeuronReport) -> str:
    if not view.effects:
        return ""
    rows = "".join(
        _effect_rows(name, effect, report.outcome) for name, effect in view.effects.items()
    )
    return (
        f"<h4>What it does to the {escape(report.place)}</h4>"
        '<div class="scroll"><table class="effects"><thead><tr>'
        '<th scope="col">where</th><th scope="col">KL, nats</th><th scope="col">more probable</th>'
        f'<th scope="col">less probable</th></tr></thead><tbody>{rows}</tbody></table></div>'
    )


def _effect_rows(name: str, effect: Effect, outcome: Callable[[int], str]) -> str:
    places = (("where active", effect.where_active), ("first excerpt", effect.there))
    rows = [
        f"<td>{place}</td>{_shift(shift, outcome)}" for place, shift in places if shift is not None
    ]
    title = f'<tr><th scope="rowgroup" colspan="4">{escape(name)}</th></tr>'
    return title + "".join(f"<tr>{row}</tr>" for row in rows)


def _shift(shift: Shift, outcome: Callable[[int], str]) -> str:
    def tokens(moved: list[tuple[int, float]]) -> str:
        shown = [
            f"<code>{escape(outcome(token))}</code> {_points(change)}"
            for token, change in moved
            if abs(change) >= 5e-4
        ]
        return "<br>".join(shown) or "–"

    return (
        f"<td>{number(shift.divergence)}</td><td>{tokens(shift.raised)}</td>"
        f"<td>{tokens(shift.lowered)}</td>"
    )


def _points(change: float) -> str:
    return f"{100 * change:+.1f}".replace("-", "−")


def _distribution(summary: Summary) -> str:
    if not summary.bars:
        return ""
    tallest = max(share for _, share in summary.bars)
    bars = "".join(
        f'<rect x="{BAR_WIDTH * i}" y="{BAR_HEIGHT * (1 - share / tallest):.1f}" '
        f'width="{BAR_WIDTH - 1}" height="{BAR_HEIGHT * share / tallest:.1f}"/>'
        for i, (_, share) in enumerate(summary.bars)
    )
    low, high = number(summary.bars[0][0]), number(summary.largest)
    levels = "".join(
        f"<dt>{100 * level:g} % below</dt><dd>{number(value)}</dd>"
        for level, value in summary.quantiles.items()
    )
    return (
        "<h4>How large, where active</h4>"
        f'<svg class="bars-log" viewBox="0 0 {BAR_WIDTH * len(summary.bars)} {BAR_HEIGHT}" '
        f'preserveAspectRatio="none" role="img" aria-label="Histogram of active values from {low} '
        f'to {high}, logarithmic">{bars}</svg>'
        f'<p class="ends"><span>{low}</span><span>{high}</span></p>'
        f'<dl class="levels"><dt>mean</dt><dd>{number(summary.mean)}</dd>{levels}</dl>'
    )
