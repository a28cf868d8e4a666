"""Colours that stay apart for colour-blind eyes (Okabe and Ito), on white and on black.

Each role also has its own line style, so that no figure depends on colour alone: what is drawn
dashed has its spread outlined, what is drawn solid has it filled. The untrained control is grey
everywhere, and nothing else is: one filled band over another of the opposite colour would be.
"""

from whitebox_transformers.report.content import Curve

LIGHT = {
    "train": "#0072b2",
    "validation": "#c44e00",
    "control": "#8a8f98",
    "model": "#0072b2",
    "baseline": "#c44e00",
    "step-first": "#e5a53a",
    "step-last": "#2f1b74",
}
DARK = {
    "train": "#56b4e9",
    "validation": "#f0a03c",
    "control": "#8d95a1",
    "model": "#56b4e9",
    "baseline": "#f0a03c",
    "step-first": "#6f5fd6",
    "step-last": "#ffd98a",
}
DASHES = {"validation": (5.0, 3.0), "baseline": (5.0, 3.0)}
COLOR_MAP = "viridis"
# Lines that have no role, in order: colour and dashes (empty: solid).
SERIES: tuple[tuple[str, tuple[float, ...]], ...] = (
    ("#0072b2", ()),
    ("#c44e00", (5.0, 3.0)),
    ("#2f1b74", (1.5, 1.5)),
    ("#e5a53a", (7.0, 2.0, 1.5, 2.0)),
    ("#007a5e", (3.0, 1.5)),
    ("#8a8f98", (8.0, 3.0)),
)


def on_white(curve: Curve) -> str:
    """The colour of a curve in a PNG; training steps run from light to dark."""
    if curve.role != "step":
        return LIGHT[curve.role]
    first, last = (_channels(LIGHT[role]) for role in ("step-first", "step-last"))
    mixed = (round(a + curve.shade * (b - a)) for a, b in zip(first, last, strict=True))
    return "#" + "".join(f"{channel:02x}" for channel in mixed)


def style_sheet() -> str:
    """The colours as CSS variables for light and dark pages."""
    light = "".join(f"--{role}:{color};" for role, color in LIGHT.items())
    dark = "".join(f"--{role}:{color};" for role, color in DARK.items())
    return f":root{{{light}}}@media (prefers-color-scheme:dark){{:root{{{dark}}}}}"


def _channels(color: str) -> list[int]:
    return [int(color[start : start + 2], 16) for start in (1, 3, 5)]
