"""What a report holds, before anybody draws it.

The PNG figures and the HTML page render the same objects, so a number cannot differ between them.
Text may contain mathematics between dollar signs in matplotlib's notation (see ``notation.py``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from whitebox_transformers.report.exploration import Exploration

Shown = Literal["images", "masked images", "texts"]
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
class AttentionOfText:
    """Attention of one token of a text to all of them.

    Attributes:
        name: Where the text is from.
        pieces: The text, token by token.
        query: Place of the token that attends, from 0.
        maps: Layer number from 1 -> weights (K, N), each head summing to 1.
        control: The same for the untrained control, at ``layer`` only.
        layer: The layer shown first.
    """

    name: str
    pieces: list[str]
    query: int
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

    def to_json(self) -> dict[str, Any]:
        """Plain values, without the picture."""
        return {"image": self.name, "label": self.truth, "ranking": dict(self.ranking)}


@dataclass(frozen=True)
class Reconstruction:
    """One image with hidden patches, filled in by a masked autoencoder.

    Attributes:
        name: File name or sample number.
        target: What was to be found, uint8 (height, width, 3), as are the following.
        masked: What the model saw; hidden patches grey.
        filled: What it saw, with its own patches where they were hidden.
        error: Mean squared error of the hidden patches, in the unit of the loss.
    """

    name: str
    target: np.ndarray
    masked: np.ndarray
    filled: np.ndarray
    error: float

    def to_json(self) -> dict[str, Any]:
        """Plain values, without the pictures."""
        return {"image": self.name, "error": self.error}


@dataclass(frozen=True)
class TextPrediction:
    """The most probable tokens or classes of one text, best first.

    Attributes:
        name: Where the text is from.
        pieces: The text, token by token.
        query: Place of the token that was hidden; None where something follows the text, or all of
            it is classified.
        ranking: Tokens or classes with their probability; tokens may look alike.
        truth: What it was, if known.
        surprise: For every token, minus the logarithm of its probability after those before it,
            in nats; ``nan`` for the first. Empty if the model does not predict one by one.
    """

    name: str
    pieces: list[str]
    query: int | None
    ranking: list[tuple[str, float]]
    truth: str | None = None
    surprise: list[float] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Plain values; the surprise of a first token is None."""
        return {
            "text": self.name,
            "tokens": self.pieces,
            "hidden": self.query,
            "label": self.truth,
            "ranking": [list(entry) for entry in self.ranking],
            "surprise_nats": [None if math.isnan(value) else value for value in self.surprise],
        }


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
        shown: What the examples are; decides what ``attention`` and ``predictions`` hold.
        attention: One entry per example; empty if the layers have no attention.
        attention_words: What the attention maps show, and how they were computed.
        predictions: One entry per example.
        exploration: What a person can explore sample by sample, if anything.
        table: A table shown before the sections, e.g. of a comparison.
        provenance: What is needed to repeat the measurement.
        warnings: Whatever was left out, with the reason.
    """

    title: str
    subtitle: str
    facts: list[tuple[str, str]] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    sections: list[Section] = field(default_factory=list)
    shown: Shown = "images"
    attention: Sequence[AttentionOfImage] | Sequence[AttentionOfText] = ()
    attention_words: str = ""
    predictions: Sequence[Prediction | Reconstruction] | Sequence[TextPrediction] = ()
    exploration: Exploration | None = None
    table: Table | None = None
    provenance: list[tuple[str, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
