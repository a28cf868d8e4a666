"""Attention and predictions of images as PNG figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from whitebox_transformers.report.canvas import figure_of, heading, literal, panels_of
from whitebox_transformers.report.content import AttentionOfImage, Prediction
from whitebox_transformers.report.palette import COLOR_MAP, LIGHT

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_attention(image: AttentionOfImage) -> Figure:
    """The image, then one map per head over the same area; control heads follow in grey."""
    control = image.control if image.control is not None else []
    maps = image.maps[image.layer]
    figure, panels = panels_of(1 + len(maps) + len(control), 1.6, 1.85)
    height, width = image.picture.shape[:2]
    panels[0].imshow(image.picture, extent=(0, width, height, 0))
    panels[0].set_title("image", fontsize=9)
    titled = [(f"head {head}", weights, COLOR_MAP) for head, weights in enumerate(maps, start=1)]
    titled += [(f"control {head}", grey, "gray") for head, grey in enumerate(control, start=1)]
    for panel, (title, weights, colors) in zip(panels[1:], titled, strict=False):
        panel.imshow(weights, cmap=colors, vmin=0, extent=(0, width, height, 0))
        panel.set_title(title, fontsize=9)
    name = literal(image.name)
    heading(figure, f"Attention of the class token, layer {image.layer}: {name}")
    return figure


def draw_predictions(predictions: Sequence[Prediction]) -> Figure:
    """One row per image: the image, and bars of its most probable classes."""
    figure = figure_of(6.4, 0.5 + 1.5 * len(predictions))
    rows = figure.subplots(len(predictions), 2, squeeze=False, width_ratios=(1, 3))
    for (picture, bars), prediction in zip(rows, predictions, strict=True):
        picture.imshow(prediction.picture)
        picture.set_axis_off()
        labels, shares = zip(*reversed(prediction.ranking), strict=True)
        places = range(len(labels))
        bars.barh(places, [100 * share for share in shares], color=LIGHT["train"])
        bars.set_yticks(places, [literal(label) for label in labels], fontsize=8)
        bars.set_xlim(0, 100)
        bars.grid(visible=False)
        truth = "" if prediction.truth is None else f" (labelled {literal(prediction.truth)})"
        bars.set_title(literal(prediction.name) + truth, loc="left", fontsize=9)
    rows[-1][1].set_xlabel("probability (%)")
    return figure
