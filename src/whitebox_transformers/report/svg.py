"""A chart as inline SVG: sharp at any size, coloured by the page's style sheet, no script needed.

The drawing is made for a width near 400 pixels, so that it is shown at about its own size both in a
column on a desk and across a phone. Colours are classes (``role-train``, ...), so that dark mode is
a matter of the style sheet.
"""

import html
import json
import math
from collections.abc import Iterator

from whitebox_transformers.report.axes import layer_ticks, number, span, tick_label, ticks
from whitebox_transformers.report.content import Chart, Curve
from whitebox_transformers.report.notation import to_text

WIDTH, HEIGHT = 420, 250
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 10, 40
MOST_MARKERS = 30


class _Frame:
    """Maps values to pixels."""

    def __init__(self, chart: Chart) -> None:
        self.positions = sorted({x for curve in chart.curves for x in curve.x})
        first, last = (self.positions[0], self.positions[-1]) if self.positions else (0.0, 1.0)
        self.by_layer = self.positions == [first + i for i in range(len(self.positions))]
        pad = 0.5 if first == last else 0.02 * (last - first)
        self.x_low, self.x_high = first - pad, last + pad
        self.y_low, self.y_high = span([y for curve in chart.curves for y in _extent(curve)])

    def x(self, value: float) -> float:
        share = (value - self.x_low) / (self.x_high - self.x_low)
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)

    def y(self, value: float) -> float:
        share = (value - self.y_low) / (self.y_high - self.y_low)
        return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 1)

    def x_ticks(self) -> list[float]:
        if self.by_layer:
            return layer_ticks(self.positions)
        return ticks(max(self.x_low, 0.0), self.x_high, 6)


def draw_chart(chart: Chart) -> str:
    """The ``<svg>`` element of one chart, with its alternative text and the data of its readout."""
    frame = _Frame(chart)
    parts = [
        *_grid(frame, chart.x_label),
        *(_band(curve, frame) for curve in chart.curves if curve.std is not None),
        *(_line(curve, frame) for curve in chart.curves),
    ]
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" tabindex="0" '
        f'aria-label="{html.escape(describe(chart))}" '
        f'data-readout="{html.escape(_readout(chart, frame))}">' + "".join(parts) + "</svg>"
    )


def describe(chart: Chart) -> str:
    """One sentence per curve, first and last value: the chart for somebody who cannot see it."""
    sentences = [f"{to_text(chart.title)}, {to_text(chart.y_label)} by {to_text(chart.x_label)}."]
    for curve in chart.curves:
        points = [(x, y) for x, y in zip(curve.x, curve.mean, strict=True) if math.isfinite(y)]
        if points:
            (x0, y0), (x1, y1) = points[0], points[-1]
            sentences.append(
                f"{curve.name}: {number(y0)} at {x0:g}, {number(y1)} at {x1:g}."
                if len(points) > 1
                else f"{curve.name}: {number(y0)} at {x0:g}."
            )
    return " ".join(sentences)


def _extent(curve: Curve) -> Iterator[float]:
    for index, mean in enumerate(curve.mean):
        spread = curve.std[index] if curve.std is not None else 0.0
        spread = spread if math.isfinite(spread) else 0.0
        yield mean - spread
        yield mean + spread


def _grid(frame: _Frame, x_label: str) -> Iterator[str]:
    y_ticks = ticks(frame.y_low, frame.y_high, 5)
    step = y_ticks[1] - y_ticks[0] if len(y_ticks) > 1 else abs(y_ticks[0]) if y_ticks else 1.0
    for value in y_ticks:
        y = frame.y(value)
        yield f'<path class="grid" d="M{LEFT} {y}H{WIDTH - RIGHT}"/>'
        label = tick_label(value, step or 1.0)
        yield f'<text class="tick" x="{LEFT - 7}" y="{y + 4}" text-anchor="end">{label}</text>'
    base = HEIGHT - BOTTOM
    yield f'<path class="axis" d="M{LEFT} {base}H{WIDTH - RIGHT}"/>'
    for value in frame.x_ticks():
        x = frame.x(value)
        label = f"{value:,.0f}" if float(value).is_integer() else f"{value:g}"
        yield f'<text class="tick" x="{x}" y="{base + 16}" text-anchor="middle">{label}</text>'
    middle = (LEFT + WIDTH - RIGHT) / 2
    label = html.escape(to_text(x_label))
    yield f'<text class="name" x="{middle}" y="{HEIGHT - 5}" text-anchor="middle">{label}</text>'


def _style(curve: Curve) -> str:
    shade = f' style="--shade:{round(100 * curve.shade)}%"' if curve.role == "step" else ""
    return f'class="role-{curve.role}"{shade}'


def _runs(curve: Curve) -> Iterator[list[int]]:
    """Indices of uninterrupted stretches of finite values."""
    run: list[int] = []
    for index, value in enumerate(curve.mean):
        if math.isfinite(value):
            run.append(index)
        elif run:
            yield run
            run = []
    if run:
        yield run


def _band(curve: Curve, frame: _Frame) -> str:
    spread = [value if math.isfinite(value) else 0.0 for value in curve.std or []]
    paths = []
    for run in _runs(curve):
        above = [(frame.x(curve.x[i]), frame.y(curve.mean[i] + spread[i])) for i in run]
        below = [(frame.x(curve.x[i]), frame.y(curve.mean[i] - spread[i])) for i in run]
        if len(run) == 1:
            paths.append(f"M{below[0][0]} {below[0][1]}V{above[0][1]}")
        else:
            corners = above + below[::-1]
            paths.append("M" + "L".join(f"{x} {y}" for x, y in corners) + "Z")
    kind = "whisker" if len(curve.mean) == 1 else "band"
    return f'<g {_style(curve)}><path class="{kind}" d="{"".join(paths)}"/></g>'


def _line(curve: Curve, frame: _Frame) -> str:
    points = [[(frame.x(curve.x[i]), frame.y(curve.mean[i])) for i in run] for run in _runs(curve)]
    path = "".join("M" + "L".join(f"{x} {y}" for x, y in run) for run in points)
    few = len(curve.mean) <= MOST_MARKERS
    markers = (
        "".join(f'<circle cx="{x}" cy="{y}" r="2.6"/>' for run in points for x, y in run)
        if few
        else ""
    )
    return f'<g {_style(curve)}><path class="line" d="{path}"/>{markers}</g>'


def _readout(chart: Chart, frame: _Frame) -> str:
    """JSON for the pointer: pixel positions, and per position the text of every curve."""
    rows = []
    for x in frame.positions:
        values = []
        for curve in chart.curves:
            if x in curve.x:
                index = curve.x.index(x)
                spread = f" ± {number(curve.std[index])}" if curve.std is not None else ""
                values.append([curve.name, number(curve.mean[index]) + spread])
        rows.append([frame.x(x), f"{to_text(chart.x_label)} {x:g}", values])
    return json.dumps(rows, ensure_ascii=False, separators=(",", ":"))
