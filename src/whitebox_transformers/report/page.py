"""The HTML page of a report: one file, no network, readable without script."""

from __future__ import annotations

from html import escape
from importlib.resources import files
from typing import Any

from whitebox_transformers.report import explorer, image_cards, masked_cards, text_cards
from whitebox_transformers.report.chart_cards import draw_section, draw_table
from whitebox_transformers.report.content import Report
from whitebox_transformers.report.notation import to_html, to_text
from whitebox_transformers.report.palette import style_sheet


def render_page(report: Report) -> str:
    """The whole page as text; every picture, style and script is inside it."""
    body = f'{_header(report)}{_navigation(report)}<main id="main">{_main(report)}</main>'
    if report.exploration is None:
        return document(report.title, body)
    return document(report.title, body, asset("explorer.css"), asset("explorer.js"))


def document(title: str, body: str, styles: str = "", script: str = "") -> str:
    """A page in the project's dress.

    Args:
        title: For the browser; may hold formulas.
        body: Header and ``main`` as HTML.
        styles: More rules.
        script: More script.
    """
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(to_text(title))}</title>"
        f"<style>{asset('page.css')}{style_sheet()}{styles}</style></head><body>"
        f'<a class="skip" href="#main">Skip to the results</a>{body}'
        "<footer>Written by whitebox-transformers. The numbers of every chart are in the file "
        "beside this page.</footer>"
        f"<script>{asset('page.js')}{script}</script></body></html>"
    )


def asset(name: str) -> str:
    """A style sheet or script of the pages."""
    return (
        files("whitebox_transformers.report").joinpath("assets", name).read_text(encoding="utf-8")
    )


def _header(report: Report) -> str:
    return (
        f'<header><p class="kind">White-box report</p><h1>{escape(report.title)}</h1>'
        f'<p class="lead">{to_html(report.subtitle)}</p>{facts_list(report.facts)}</header>'
    )


def facts_list(facts: list[tuple[str, str]]) -> str:
    """Short label and value pairs."""
    items = "".join(
        f"<div><dt>{to_html(label)}</dt><dd>{to_html(value)}</dd></div>" for label, value in facts
    )
    return f'<dl class="facts">{items}</dl>'


def _chapters(report: Report) -> list[tuple[str, str]]:
    chapters = [(section.key, section.title) for section in report.sections]
    if report.exploration is not None:
        chapters.insert(0, ("explore", "Explore"))
    if report.attention:
        chapters.append(("attention", "Attention"))
    if report.predictions:
        chapters.append(("predictions", "Predictions"))
    return [*chapters, ("provenance", "Provenance")]


def _navigation(report: Report) -> str:
    links = "".join(
        f'<li><a href="#{key}">{to_html(title)}</a></li>' for key, title in _chapters(report)
    )
    return f'<nav aria-label="Chapters"><ul>{links}</ul></nav>'


# What draws the examples of a report.
_CARDS: dict[str, Any] = {
    "images": image_cards,
    "masked images": masked_cards,
    "texts": text_cards,
}


def _main(report: Report) -> str:
    cards = _CARDS[report.shown]
    return "".join(
        [
            _sentences("findings", "What was measured", report.findings),
            _sentences("warnings", "Left out", report.warnings),
            draw_table(report.table) if report.table else "",
            explorer.draw(report.exploration) if report.exploration else "",
            *map(draw_section, report.sections),
            cards.draw_attention(report.attention, report.attention_words),
            cards.draw_predictions(report.predictions),
            provenance_section(report.provenance),
        ]
    )


def _sentences(kind: str, title: str, sentences: list[str]) -> str:
    if not sentences:
        return ""
    items = "".join(f"<li>{to_html(sentence)}</li>" for sentence in sentences)
    return f'<section><h2>{title}</h2><div class="{kind}"><ul>{items}</ul></div></section>'


def provenance_section(provenance: list[tuple[str, str]]) -> str:
    """The chapter that says how to repeat the measurement."""
    rows = "".join(
        f"<dt>{to_html(label)}</dt><dd>{to_html(value)}</dd>" for label, value in provenance
    )
    return (
        '<section id="provenance"><h2>How these numbers were made</h2>'
        f'<dl class="provenance">{rows}</dl></section>'
    )
