import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from whitebox_transformers.report.content import Chart, Curve, Report, Section
from whitebox_transformers.report.page import render_page

VOID = {"meta", "img", "input", "link", "br"}


class Outline(HTMLParser):
    """Collects tags and attributes, and checks that tags are closed in order."""

    def __init__(self, page):
        super().__init__()
        self.open, self.tags = [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def attributes(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.mark.parametrize(("layers", "heads", "grid"), [(3, 2, (4, 4)), (1, 1, (2, 5))])
def test_page_is_well_formed_and_every_picture_has_words(make_report, layers, heads, grid):
    outline = Outline(render_page(make_report(layers, heads, grid)))
    assert outline.open == []
    assert all(image["alt"] for image in outline.attributes("img"))
    charts = [svg for svg in outline.attributes("svg") if svg.get("class") == "chart"]
    assert charts
    assert all(svg["aria-label"] and svg["tabindex"] == "0" for svg in charts)
    identifiers = [attrs["id"] for _, attrs in outline.tags if "id" in attrs]
    assert len(set(identifiers)) == len(identifiers)


def test_page_needs_nothing_but_itself(make_report):
    page = render_page(make_report(3, 2, (4, 4)))
    outline = Outline(page)
    assert all(image["src"].startswith("data:image/") for image in outline.attributes("img"))
    assert all("src" not in script for script in outline.attributes("script"))
    assert outline.attributes("link") == []
    assert not re.search(r"https?:|@import|//cdn|fetch\(|XMLHttpRequest", page)


def test_links_of_the_navigation_lead_somewhere(make_report):
    outline = Outline(render_page(make_report(2, 2, (3, 3))))
    identifiers = {attrs["id"] for _, attrs in outline.tags if "id" in attrs}
    assert {link["href"].removeprefix("#") for link in outline.attributes("a")} <= identifiers


def test_page_of_a_large_model_stays_below_five_megabytes(make_report):
    large = make_report(24, 16, (28, 28))
    images = [large.attention[0]] * 12
    assert len(render_page(replace(large, attention=images)).encode()) < 5_000_000


def test_names_from_outside_cannot_become_markup(make_report):
    report = make_report(2, 2, (3, 3))
    evil = '"><script>alert(1)</script>'
    page = render_page(
        replace(
            report,
            title=evil,
            warnings=[evil],
            attention=[replace(report.attention[0], name=evil)],
            predictions=[
                replace(report.predictions[0], name=evil, ranking=[(evil, 1.0)], truth=evil)
            ],
        )
    )
    assert "<script>alert" not in page
    assert Outline(page).open == []


def test_values_and_gaps_of_a_chart_are_on_the_page():
    curve = Curve("train", "train", [1.0, 2.0, 3.0], [0.25, np.nan, 0.75], [0.01, np.nan, 0.02])
    chart = Chart("share", "A share", "share", "layer", [curve])
    page = render_page(Report("run", "words", sections=[Section("s", "S", "words", [chart])]))
    assert "0.250 ± 0.010" in page
    assert "0.750 ± 0.020" in page
    assert not re.search(r"\bnan\b", page, re.IGNORECASE)
    line = re.search(r'class="line" d="([^"]+)"', page.split('class="plot"')[1])[1]
    assert line.count("M") == 2  # the gap splits the line


def test_training_with_an_empty_report_is_still_a_page():
    assert Outline(render_page(Report("run", "nothing was measured"))).open == []


def test_attention_keeps_the_shape_of_the_image(make_report):
    page = render_page(make_report(2, 2, (2, 5)))
    assert "aspect-ratio:80/32" in page
