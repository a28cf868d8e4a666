"""What a report holds, before anybody draws it.

The PNG figures and the HTML page render the same objects, so a number cannot differ between them.
Text may contain mathematics between dollar signs in matplotlib's notation (see ``notation.py``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

Role = Literal["train", "validation", "control", "step", "model", "baseline"]


@dataclass(frozen=True)
class Curve:
    """One line of a chart, with its spread.

    Attributes:
        name: What the legend says.
        role: Decides colour and line style; ``control`` is always grey.
        x: Positions, e.g. layer numbers from 1.
        mean: Values; ``nan`` leaves a gap.
        std: Standard deviation over samples, drawn as a band, or None.
        shade: Place of a ``step`` curve on its colour ramp, 0 (first) to 1 (last).
    """

    name: str
    role: Role
    x: list[float]
    mean: list[float]
    std: list[float] | None = None
    shade: float = 1.0


@dataclass(frozen=True)
class Chart:
    """Curves over a common axis, and the words that explain them.

    Attributes:
        key: File name of the PNG without its ending; also the anchor on the page.
        title: What is measured, and where.
        y_label: Quantity with its unit.
        x_label: Quantity of the horizontal axis.
        curves: Back to front.
        shows: One or two sentences: what is drawn, in which convention.
        expected: What one would see if the layers did what their mathematics says.
    """

    key: str
    title: str
    y_label: str
    x_label: str
    curves: list[Curve]
    shows: str = ""
    expected: str = ""


@dataclass(frozen=True)
class Heatmap:
    """One matrix drawn as colours; ``blocks`` is the number of equal diagonal blocks outlined."""

    title: str
    values: np.ndarray
    blocks: int = 1


@dataclass(frozen=True)
class HeatmapGrid:
    """Matrices of the same kind side by side, on one colour scale from ``low`` to ``high``."""

    key: str
    title: str
    scale_label: str
    items: list[Heatmap]
    shows: str = ""
    expected: str = ""
    low: float = 0.0
    high: float = 1.0


@dataclass(frozen=True)
class AttentionOfImage:
    """Attention of the class token to the patches of one image.

    Attributes:
        name: File name or sample number.
        picture: What the model saw, uint8 (height, width, 3).
        maps: Layer number from 1 -> weights (K, rows, columns), each head summing to at most 1.
        control: The same for the untrained control, at ``layer`` only; None without a control.
        layer: The layer shown first.
    """

    name: str
    picture: np.ndarray
    maps: dict[int, np.ndarray]
    layer: int
    control: np.ndarray | None = None


@dataclass(frozen=True)
class Prediction:
    """The most probable classes of one image, best first."""

    name: str
    picture: np.ndarray
    ranking: list[tuple[str, float]]
    truth: str | None = None


@dataclass(frozen=True)
class Section:
    """A chapter of the page: an introduction, then charts or heatmaps."""

    key: str
    title: str
    introduction: str
    charts: list[Chart] = field(default_factory=list)
    heatmaps: list[HeatmapGrid] = field(default_factory=list)


@dataclass(frozen=True)
class Table:
    """Rows of text under a header; the first column names the row."""

    title: str
    header: list[str]
    rows: list[list[str]]
    note: str = ""


@dataclass(frozen=True)
class Report:
    """Everything one page says.

    Attributes:
        title: Name of the run.
        subtitle: One sentence on what the page is about.
        facts: Short label and value pairs shown at the top.
        findings: Sentences that state measured values.
        sections: Charts and heatmaps in reading order.
        attention: One entry per image; empty if the model has no class token.
        attention_words: What the attention maps show, and how they were computed.
        predictions: One entry per image.
        table: A table shown before the sections, e.g. of a comparison.
        provenance: What is needed to repeat the measurement.
        warnings: Whatever was left out, with the reason.
    """

    title: str
    subtitle: str
    facts: list[tuple[str, str]] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    sections: list[Section] = field(default_factory=list)
    attention: list[AttentionOfImage] = field(default_factory=list)
    attention_words: str = ""
    predictions: list[Prediction] = field(default_factory=list)
    table: Table | None = None
    provenance: list[tuple[str, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
