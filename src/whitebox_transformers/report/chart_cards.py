"""Charts and heatmaps as cards of the page: picture, explanation, and the numbers behind it."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

import numpy as np

from whitebox_transformers.report.axes import number
from whitebox_transformers.report.content import Chart, Curve, Heatmap, HeatmapGrid, Section, Table
from whitebox_transformers.report.notation import to_html, to_text
from whitebox_transformers.report.pictures import heatmap_uri
from whitebox_transformers.report.svg import draw_chart


def draw_section(section: Section) -> str:
    """One chapter: heading, introduction, one legend for all its charts, then the cards."""
    curves = [curve for chart in section.charts for curve in chart.curves]
    cards = "".join(map(chart_card, section.charts))
    grids = "".join(map(heatmap_card, section.heatmaps))
    return (
        f'<section id="{section.key}"><h2>{to_html(section.title)}</h2>'
        f"<p>{to_html(section.introduction)}</p>{_legend(curves)}"
        f'<div class="cards">{cards}{grids}</div></section>'
    )


def chart_card(chart: Chart) -> str:
    """One chart with its caption and a table of its values."""
    return (
        f'<figure class="card" id="{chart.key}"><h3>{to_html(chart.title)}</h3>'
        f'<p class="unit">{to_html(chart.y_label)}</p>'
        f'<div class="plot">{draw_chart(chart)}</div>{_caption(chart.shows, chart.expected)}'
        f"<details><summary>Numbers</summary>{_values(chart)}</details></figure>"
    )


def heatmap_card(grid: HeatmapGrid) -> str:
    """Matrices on one colour scale, the scale beneath them."""
    items = "".join(_matrix(item, grid) for item in grid.items)
    ramp = heatmap_uri(np.linspace(0.0, 1.0, 64)[None], 0.0, 1.0)
    return (
        f'<figure class="card wide" id="{grid.key}"><h3>{to_html(grid.title)}</h3>'
        f'<div class="matrices">{items}</div>'
        f'<div class="scale">{number(grid.low)}<img src="{ramp}" alt="colour scale">'
        f"{number(grid.high)}<span>{to_html(grid.scale_label)}</span></div>"
        f"{_caption(grid.shows, grid.expected)}</figure>"
    )


def draw_table(table: Table) -> str:
    """A table with its heading; scrolls sideways on a narrow screen."""
    head = "".join(f'<th scope="col">{to_html(cell)}</th>' for cell in table.header)
    rows = "".join(_row([to_html(cell) for cell in row]) for row in table.rows)
    note = f"<figcaption>{to_html(table.note)}</figcaption>" if table.note else ""
    return (
        f'<figure class="table" style="margin-inline:0"><h3>{to_html(table.title)}</h3>'
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
        f"</div>{note}</figure>"
    )


def _legend(curves: Iterable[Curve]) -> str:
    named = {curve.name: curve for curve in curves}
    if not named:
        return ""
    return f'<ul class="legend">{"".join(map(_legend_entry, named.values()))}</ul>'


def _legend_entry(curve: Curve) -> str:
    shade = f' style="--shade:{round(100 * curve.shade)}%"' if curve.role == "step" else ""
    band = '<path class="band" d="M0 1H34V11H0Z"/>' if curve.std is not None else ""
    return (
        f'<li><svg viewBox="0 0 34 12" aria-hidden="true" class="role-{curve.role}"{shade}>{band}'
        f'<path class="line" d="M1 6H33"/></svg>{escape(curve.name)}'
        f"{' (± 1 std)' if band else ''}</li>"
    )


def _caption(shows: str, expected: str) -> str:
    expectation = (
        f'<p class="expected"><b>What to expect.</b> {to_html(expected)}</p>' if expected else ""
    )
    return f"<figcaption><p>{to_html(shows)}</p>{expectation}</figcaption>"


def _values(chart: Chart) -> str:
    head = "".join(f'<th scope="col">{escape(curve.name)}</th>' for curve in chart.curves)
    positions = sorted({x for curve in chart.curves for x in curve.x})
    columns = [_by_position(curve) for curve in chart.curves]
    rows = "".join(_row([f"{x:g}", *(column.get(x, "–") for column in columns)]) for x in positions)
    return (
        f'<div class="scroll"><table><thead><tr><th scope="col">{escape(to_text(chart.x_label))}'
        f"</th>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _row(cells: list[str]) -> str:
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _by_position(curve: Curve) -> dict[float, str]:
    spread = curve.std if curve.std is not None else [None] * len(curve.mean)
    return {
        x: number(mean) + (f" ± {number(std)}" if std is not None else "")
        for x, mean, std in zip(curve.x, curve.mean, spread, strict=True)
    }


def _matrix(item: Heatmap, grid: HeatmapGrid) -> str:
    size = item.values.shape[0]
    alternative = f"{to_text(grid.title)}, {to_text(item.title)}: {size} by {size} matrix"
    return (
        f'<div><span class="matrix"><img alt="{escape(alternative)}" '
        f'src="{heatmap_uri(item.values, grid.low, grid.high)}">{_outlines(item.blocks)}</span>'
        f"{to_html(item.title)}</div>"
    )


def _outlines(blocks: int) -> str:
    if blocks < 2:
        return ""
    squares = "".join(_outline(block) for block in range(blocks))
    return f'<svg viewBox="0 0 {blocks} {blocks}" aria-hidden="true">{squares}</svg>'


def _outline(block: int) -> str:
    return f'<rect x="{block}" y="{block}" width="1" height="1"/>'
