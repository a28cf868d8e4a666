"""COCO's average precision by its definition, for masks of one category and equal scores.

Greedy matching in the order given, 101-point interpolation, overlaps 0.5 to 0.95.
"""

from __future__ import annotations

import numpy as np


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    return (a & b).sum() / (a | b).sum()


def boxed(mask: np.ndarray) -> np.ndarray:
    """The smallest rectangle around a mask, as a mask."""
    rows, columns = np.nonzero(mask)
    box = np.zeros_like(mask)
    box[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1] = True
    return box


def average_precision(
    truth: list[list[np.ndarray]], found: list[list[np.ndarray]]
) -> tuple[float, float, float]:
    """AP, AP50, AP75 of masks found, image by image."""
    values = []
    for threshold in np.arange(0.5, 0.96, 0.05):
        right = []
        for drawn, made in zip(truth, found, strict=True):
            taken: set[int] = set()
            for mask in made:
                best, at = threshold - 1e-9, -1
                for index, other in enumerate(drawn):
                    if index not in taken and overlap(mask, other) >= best:
                        best, at = overlap(mask, other), index
                taken.add(at)
                taken.discard(-1)
                right.append(at >= 0)
        hits = np.cumsum(right)
        recall = hits / sum(len(drawn) for drawn in truth)
        precision = hits / np.arange(1, len(right) + 1)
        precision = np.maximum.accumulate(precision[::-1])[::-1]
        points = [precision[recall >= r - 1e-12].max(initial=0.0) for r in np.linspace(0, 1, 101)]
        values.append(np.mean(points))
    return float(np.mean(values)), float(values[0]), float(values[5])
