import pytest

from whitebox_transformers.report.layer_charts import layer_sections
from whitebox_transformers.report.notation import to_html, to_text


@pytest.mark.parametrize(
    ("text", "html", "plain"),
    [
        ("plain <b>", "plain &lt;b&gt;", "plain <b>"),
        ("$R^c$", '<span class="math"><i>R</i><sup><i>c</i></sup></span>', "R^c"),
        (
            "$Z^{\\ell+1/2}$ x",
            '<span class="math"><i>Z</i><sup><i>ℓ</i>+1/2</sup></span> x',
            "Z^(ℓ+1/2) x",
        ),
        (
            "$U_k^\\top$",
            '<span class="math"><i>U</i><sub><i>k</i></sub><sup>⊤</sup></span>',
            "U_k^⊤",
        ),
    ],
)
def test_formulas_become_html_and_text(text, html, plain):
    assert to_html(text) == html
    assert to_text(text) == plain


def test_one_dollar_sign_is_money():
    assert to_html("5 $ each") == "5 $ each"


def test_every_symbol_of_the_explanations_is_known(measured):
    for section in layer_sections(measured):
        for chart in section.charts:
            words = chart.title + chart.y_label + chart.shows + chart.expected
            assert "\\" not in to_html(words)
            assert "$" not in to_html(words)
