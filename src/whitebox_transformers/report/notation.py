r"""Mathematics in running text, written once in matplotlib's notation.

Between dollar signs ``^`` and ``_`` raise and lower one character or one ``{group}``, and ``\name``
is one of the symbols below. matplotlib draws such text as it stands; the page and alternative
texts get it from here.
"""

import html
import re

_SYMBOLS = {
    r"\ell": "ℓ",
    r"\epsilon": "ε",
    r"\alpha": "α",
    r"\gamma": "γ",
    r"\Delta": "Δ",
    r"\lambda": "λ",
    r"\eta": "η",
    r"\ldots": "…",
    r"\top": "⊤",
    r"\Vert": "‖",
    r"\,": "\u2009",
}
_FORMULA = re.compile(r"\$([^$]+)\$")
# Tags and character entities are skipped, runs of letters are captured.
_LETTERS = re.compile(r"<[^>]*>|&\w+;|([A-Za-zα-ωΔℓ]+)")
_SHIFTED = re.compile(r"([\^_])(?:\{([^{}]*)\}|(.))")


def to_html(text: str) -> str:
    """Escaped HTML with formulas with italic letters, superscripts and subscripts."""
    pieces = _FORMULA.split(text)
    for index, piece in enumerate(pieces):
        piece = html.escape(piece)
        pieces[index] = _formula_to_html(piece) if index % 2 else piece
    return "".join(pieces)


def to_text(text: str) -> str:
    """Plain text, for alternative texts and readouts: ``$R^c$`` becomes ``R^c``."""
    return _FORMULA.sub(lambda match: _with_symbols(match[1]).translate(_NO_BRACES), text)


_NO_BRACES = str.maketrans({"{": "(", "}": ")"})


def _with_symbols(formula: str) -> str:
    for name, symbol in _SYMBOLS.items():
        formula = formula.replace(name, symbol)
    return formula


def _formula_to_html(formula: str) -> str:
    def shifted(match: re.Match[str]) -> str:
        tag = "sup" if match[1] == "^" else "sub"
        return f"<{tag}>{match[2] if match[2] is not None else match[3]}</{tag}>"

    def italic(match: re.Match[str]) -> str:
        return match[0] if match[1] is None else f"<i>{match[1]}</i>"

    letters = _LETTERS.sub(italic, _SHIFTED.sub(shifted, _with_symbols(formula)))
    return f'<span class="math">{letters}</span>'
