"""How a run went, and how a pair of runs compare, from the metrics that training wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from whitebox_transformers.report.content import Chart, Curve, Role, Section, Table
from whitebox_transformers.tasks.task import Score, Task
from whitebox_transformers.training.files import read_json
from whitebox_transformers.training.run_folder import RunFolder

if TYPE_CHECKING:
    from whitebox_transformers.training.compare import Comparison, Row

MOST_POINTS = 300


def learning_section(task: Task, metrics: dict[str, Any]) -> Section | None:
    """Loss, validation scores and learning rate by step; None if nothing was logged."""
    best = metrics["best"]["step"]
    charts = [
        *(_loss_chart(score, metrics) for score in task.scores if score.key == "loss"),
        *(
            Chart(
                score.key,
                f"Validation {score.title}",
                score.unit,
                "step",
                _curve(metrics["validation"], score.key, "validation", "validation"),
                f"The weights inspected here are those of step {best:,}, the best on validation.",
            )
            for score in task.scores
            if score.key != "loss"
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


def _loss_chart(score: Score, metrics: dict[str, Any]) -> Chart:
    return Chart(
        "loss",
        "Loss",
        score.unit,
        "step",
        [
            *_curve(metrics["train"], "loss", "train", "train"),
            *_curve(metrics["validation"], "loss", "validation", "validation"),
        ],
        "Training loss includes dropout, augmentation and label smoothing where the recipe has "
        "them, validation loss none of them, so validation may lie below.",
        "Both fall; validation rising while training falls means that the run overfits.",
    )


def comparison_table(comparison: Comparison) -> Table:
    """The pair side by side."""
    score = comparison.task.headline
    header = [
        "",
        "parameters",
        f"validation {score.title}",
        f"test {score.title}",
        "training seconds",
        "$R^c$, first → last layer",
        "non-zero, first → last layer",
    ]
    note = (
        f"Same data, steps, optimiser and schedule; {comparison.parameter_ratio:.3f} times the "
        "parameters. $R^c$ in nats, convention published at $Z^\\ell$, on validation "
        f"{comparison.task.unit}. A black box has no subspaces to measure. One pair of runs is no "
        "proof: repeat with several seeds."
    )
    rows = [_row(comparison.task, row) for row in comparison.rows]
    return Table("White box beside black box", header, rows, note)


def comparison_section(comparison: Comparison) -> Section:
    """The validation scores of both arms by step."""
    charts = []
    for score in comparison.task.scores:
        curves = []
        for row, role in zip(comparison.rows, ("model", "baseline"), strict=True):
            history = read_json(RunFolder(row.result.folder).metrics)["validation"]
            curves += _curve(history, score.key, _name(comparison.task, row), role)
        if curves:
            title = f"Validation {score.title} of the pair"
            shows = "On the validation split while training, without anything random."
            charts.append(Chart(f"pair-{score.key}", title, score.unit, "step", curves, shows))
    introduction = f"Both arms saw the same {comparison.task.unit} in the same order."
    return Section("pair", "The pair", introduction, charts)


def _curve(history: list[dict[str, Any]], key: str, name: str, role: Role) -> list[Curve]:
    points = [(float(entry["step"]), float(entry[key])) for entry in history if key in entry]
    if not points:
        return []
    # A long run logs more points than a chart has pixels.
    stride = -(-len(points) // MOST_POINTS)
    steps, values = zip(*points[:-1:stride], points[-1], strict=True)
    return [Curve(name, role, list(steps), list(values))]


def _name(task: Task, row: Row) -> str:
    family = task.families[row.result.family]
    return f"{family.title} ({'white' if family.white_box else 'black'} box)"


def _row(task: Task, row: Row) -> list[str]:
    result, score = row.result, task.headline
    return [
        _name(task, row),
        f"{result.parameters:,}",
        score.show(result.validation[score.key]),
        score.show(result.scores[score.key]) if result.scores else "–",
        f"{result.seconds:,.0f}",
        "–" if row.compression is None else "{:,.0f} → {:,.0f}".format(*row.compression),
        "–" if row.nonzero is None else "{:.0%} → {:.0%}".format(*row.nonzero),
    ]
