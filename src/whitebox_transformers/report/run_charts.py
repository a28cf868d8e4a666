"""How a run went, and how a pair of runs compare, from the metrics that training wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from whitebox_transformers.report.content import Chart, Curve, Role, Section, Table
from whitebox_transformers.training.files import read_json
from whitebox_transformers.training.run_folder import RunFolder

if TYPE_CHECKING:
    from whitebox_transformers.training.compare import Comparison, Row

MOST_POINTS = 300
NAMES = {"crate": "CRATE (white box)", "vit": "ViT (black box)"}


def learning_section(metrics: dict[str, Any]) -> Section | None:
    """Loss, validation accuracy and learning rate by step; None if nothing was logged."""
    best = metrics["best"]["step"]
    charts = [
        Chart(
            "loss",
            "Loss",
            "cross-entropy per image (nats)",
            "step",
            [
                *_curve(metrics["train"], "loss", "train", "train"),
                *_curve(metrics["validation"], "loss", "validation", "validation"),
            ],
            "Training loss includes augmentation and label smoothing, validation loss neither, so "
            "validation may lie below.",
            "Both fall; validation rising while training falls means that the run overfits.",
        ),
        Chart(
            "accuracy",
            "Validation accuracy",
            "share classified correctly (0 to 1)",
            "step",
            _curve(metrics["validation"], "accuracy", "validation", "validation"),
            f"The weights inspected here are those of step {best:,}, the best on validation.",
        ),
        Chart(
            "learning-rate",
            "Learning rate",
            "learning rate",
            "step",
            _curve(metrics["train"], "learning_rate", "train", "train"),
            "Warm-up, then the schedule of the recipe.",
        ),
    ]
    charts = [chart for chart in charts if chart.curves]
    if not charts:
        return None
    return Section("learning", "Training", "How the run went, as it was logged.", charts)


def comparison_table(comparison: Comparison) -> Table:
    """The pair side by side."""
    header = [
        "",
        "parameters",
        "validation accuracy",
        "test accuracy",
        "training seconds",
        "$R^c$, first → last layer",
        "non-zero, first → last layer",
    ]
    note = (
        f"Same data, steps, optimiser and schedule; {comparison.parameter_ratio:.3f} times the "
        "parameters. $R^c$ in nats, convention published at $Z^\\ell$, on validation images. A "
        "black box has no subspaces to measure. One pair of runs is no proof: repeat with several "
        "seeds."
    )
    return Table("White box beside black box", header, [*map(_row, comparison.rows)], note)


def comparison_section(comparison: Comparison) -> Section:
    """Accuracy and loss of both arms by step."""
    charts = []
    for key, title, label, shows in (
        ("accuracy", "Validation accuracy of the pair", "share classified correctly (0 to 1)",
         "Accuracy on the validation set while training."),
        ("loss", "Validation loss of the pair", "cross-entropy per image (nats)",
         "Cross-entropy on the validation set while training, without label smoothing."),
    ):  # fmt: skip
        curves = []
        for row, role in zip(comparison.rows, ("model", "baseline"), strict=True):
            history = read_json(RunFolder(row.result.folder).metrics)["validation"]
            curves += _curve(history, key, _name(row), role)
        if curves:
            charts.append(Chart(f"pair-{key}", title, label, "step", curves, shows))
    introduction = "Both arms saw the same images in the same order."
    return Section("pair", "The pair", introduction, charts)


def _curve(history: list[dict[str, Any]], key: str, name: str, role: Role) -> list[Curve]:
    points = [(float(entry["step"]), float(entry[key])) for entry in history if key in entry]
    if not points:
        return []
    # A long run logs more points than a chart has pixels.
    stride = -(-len(points) // MOST_POINTS)
    steps, values = zip(*points[:-1:stride], points[-1], strict=True)
    return [Curve(name, role, list(steps), list(values))]


def _name(row: Row) -> str:
    return NAMES.get(row.result.family, row.result.family)


def _row(row: Row) -> list[str]:
    result = row.result
    return [
        _name(row),
        f"{result.parameters:,}",
        f"{result.validation_accuracy:.2%}",
        f"{result.test_accuracy:.2%}",
        f"{result.seconds:,.0f}",
        "–" if row.compression is None else "{:,.0f} → {:,.0f}".format(*row.compression),
        "–" if row.nonzero is None else "{:.0%} → {:.0%}".format(*row.nonzero),
    ]
