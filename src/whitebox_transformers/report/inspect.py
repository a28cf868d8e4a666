"""Look inside a finished run: measure every layer, write JSON, figures and one page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from transformers import PreTrainedModel

from whitebox_transformers.analysis.layers import white_box_layers
from whitebox_transformers.analysis.layerwise import untrained
from whitebox_transformers.analysis.measures import MEASURES
from whitebox_transformers.crate.modeling_crate_mae import CrateMAEForPreTraining
from whitebox_transformers.data.measured import MEASURED_SAMPLES
from whitebox_transformers.errors import UserError
from whitebox_transformers.evaluation.finished_run import load_run
from whitebox_transformers.extras import require
from whitebox_transformers.report.content import Report, Section
from whitebox_transformers.report.decoder_study import study_decoder
from whitebox_transformers.report.exploration import explore
from whitebox_transformers.report.figures import write_figures
from whitebox_transformers.report.galleries import gallery_of
from whitebox_transformers.report.gallery import layer_shown_first
from whitebox_transformers.report.layer_charts import findings, layer_sections, training_section
from whitebox_transformers.report.layer_study import LayerStudy, batch_size_of, study_layers
from whitebox_transformers.report.page import render_page
from whitebox_transformers.report.run_charts import (
    comparison_section,
    comparison_table,
    learning_section,
)
from whitebox_transformers.report.structure import structure_section
from whitebox_transformers.tasks import task_of
from whitebox_transformers.tasks.recipe import Recipe
from whitebox_transformers.training.files import read_json, write_json, write_text
from whitebox_transformers.training.keepsakes import kept_weights
from whitebox_transformers.training.provenance import provenance
from whitebox_transformers.training.run_folder import RunFolder, find_run

if TYPE_CHECKING:
    from whitebox_transformers.training.compare import Comparison

# Validation samples drawn one by one, and those that the page's script can show.
SHOWN, EXPLORED = 4, 8
MOST_ON_PAGE = 12
WHITE_BOX = (
    "What every layer of this model does to its tokens, measured on training and validation "
    "{unit} and set beside the same network with untrained weights."
)
BLACK_BOX = (
    "This model is a black box: without subspaces and dictionary there is no $R^c$ to measure. "
    "What can be measured of its tokens is shown for comparison; expectations are those of a white "
    "box."
)


@dataclass(frozen=True)
class InspectionResult:
    """What `inspect` wrote.

    Attributes:
        json: Every number, with definitions and provenance.
        pngs: The figures.
        html: The page, one self-contained file.
        left_out: Images that could not be used, or examples that the page has no room for.
    """

    json: Path
    pngs: list[Path]
    html: Path
    left_out: list[str]


def inspect(
    run_dir: str | Path,
    images: Sequence[str | Path] | None = None,
    samples: int = MEASURED_SAMPLES,
    out: str | Path | None = None,
    device: str | None = None,
    comparison: Comparison | None = None,
    texts: Sequence[str] | None = None,
) -> InspectionResult:
    """Measure what every layer of a finished run does, beside an untrained control.

    Args:
        run_dir: Run folder.
        images: Of a run on images, files whose attention and predictions are shown; a few
            validation images if None.
        samples: Samples per split that are measured.
        out: Folder to write; ``inspection`` in the run folder if None.
        device: Where to compute, e.g. ``"cpu"``; as the run's recipe says if None.
        comparison: The pair this run is the white box of; puts its table on the page.
        texts: Of a run on text, texts whose attention and predictions are shown; pieces of a few
            validation samples if None.

    Raises:
        UserError: No finished run there, no usable image among ``images``, a text that is empty or
            too long, or data not found.
        MissingExtra: matplotlib or Pillow is not installed.
    """
    for module in ("matplotlib", "PIL"):
        require(module, extra="analysis")
    if samples < 1:
        raise UserError(f"samples={samples} must be at least 1: samples per split to measure")
    folder = find_run(run_dir)
    model, recipe = load_run(run_dir)
    if device:
        nn.Module.to(model, torch.device(device))
    explored, data = gallery_of(folder, recipe, images, texts, EXPLORED)
    gallery = explored if images or texts else explored.beginning(SHOWN)
    control = untrained(model, recipe.seed)

    kept = kept_weights(folder.kept)
    batch, seen = batch_size_of(recipe), task_of(recipe).seen_by_layers
    study = study_layers(model, control, data, kept, samples, batch, recipe.seed, seen)
    decoder = None
    if isinstance(model, CrateMAEForPreTraining) and isinstance(control, CrateMAEForPreTraining):
        decoder = study_decoder(model, control, data, samples, batch, recipe.seed)
    structure, coherence = structure_section(model, control, gallery, recipe.seed)
    record = _record(folder, recipe, study)
    white_box = WHITE_BOX.replace("{unit}", task_of(recipe).unit)
    attention = gallery.attention(model, control)
    report = Report(
        title=recipe.name,
        subtitle=white_box if white_box_layers(model) else BLACK_BOX,
        facts=_facts(folder, recipe, model, study),
        findings=findings(study.curves()) + (decoder.findings() if decoder else []),
        sections=[
            *_sections(folder, recipe, study, comparison),
            *(decoder.sections() if decoder else []),
            structure,
        ],
        shown=gallery.shown,
        attention=attention,
        attention_words=gallery.attention_words(model),
        predictions=gallery.predictions(model),
        exploration=explore(model, explored, layer_shown_first(model), recipe.seed)
        if attention
        else None,
        table=comparison_table(comparison) if comparison else None,
        provenance=_provenance_rows(record),
        warnings=gallery.left_out,
    )
    predictions = {"predictions": [item.to_json() for item in report.predictions]}
    numbers = study.to_json() | {"coherence": coherence} | predictions
    numbers |= decoder.to_json() if decoder else {}
    return _write(report, record | numbers, Path(out or folder.path / "inspection").expanduser())


def _write(report: Report, numbers: dict[str, Any], folder: Path) -> InspectionResult:
    """JSON and figures first; the page, which people open, comes last."""
    write_json(folder / "layers.json", numbers | {"left_out": report.warnings})
    pngs = write_figures(report, folder)
    write_text(folder / "index.html", render_page(_that_fits(report)))
    return InspectionResult(folder / "layers.json", pngs, folder / "index.html", report.warnings)


def _that_fits(report: Report) -> Report:
    """The report with its first examples only, if there are many."""
    count = len(report.predictions)
    if count <= MOST_ON_PAGE:
        return report
    note = (
        f"{count - MOST_ON_PAGE} of {count} {report.shown}, to keep this page small; "
        "their attention is in the PNG files, their predictions in layers.json"
    )
    return replace(
        report,
        attention=report.attention[:MOST_ON_PAGE],
        predictions=report.predictions[:MOST_ON_PAGE],
        warnings=[*report.warnings, note],
    )


def _sections(
    folder: RunFolder, recipe: Recipe, study: LayerStudy, comparison: Comparison | None
) -> Iterator[Section]:
    if comparison is not None:
        yield comparison_section(comparison)
    yield from layer_sections(study.curves())
    metrics = read_json(folder.metrics)
    by_step = {step: report.curves for step, report in study.checkpoints.items()}
    if by_step:
        by_step[metrics["best"]["step"]] = study.trained["validation"].curves
    for section in (training_section(by_step), learning_section(task_of(recipe), metrics)):
        if section is not None:
            yield section


def _facts(
    folder: RunFolder, recipe: Recipe, model: PreTrainedModel, study: LayerStudy
) -> list[tuple[str, str]]:
    task, score = task_of(recipe), task_of(recipe).headline
    record, metrics, config = read_json(folder.record), read_json(folder.metrics), model.config
    counts = {split: report.count for split, report in study.trained.items()}
    return [
        ("Model", task.family(recipe.model).title),
        ("Layers × width × heads", " × ".join(
            str(size)
            for size in (config.num_hidden_layers, config.hidden_size, config.num_attention_heads)
        )),
        ("Trainable parameters", f"{record['parameters']:,}"),
        *(
            (f"{split} {score.title}", score.show(metrics[stored][score.key]))
            for split, stored in (("Test", "test"), ("Validation", "best"))
            if stored in metrics
        ),
        (
            f"{task.unit.capitalize()} measured",
            f"{counts['train']:,} train, {counts['validation']:,} validation",
        ),
    ]  # fmt: skip


def _record(folder: RunFolder, recipe: Recipe, study: LayerStudy) -> dict[str, Any]:
    """Provenance of the inspection, and of the run it looked at."""
    run = read_json(folder.record)
    kept = ("command", "git", "versions", "hardware", "started", "finished", "steps")
    return {
        "inspection": provenance()
        | {
            "made": datetime.now(UTC).isoformat(timespec="seconds"),
            "seed": recipe.seed,
            "samples": {split: report.count for split, report in study.trained.items()},
        },
        "run": {"folder": str(folder.path), "name": recipe.name}
        | {key: run[key] for key in kept if key in run},
        "conventions": {key: MEASURES[key] for key in study.trained["validation"].curves},
    }


def _provenance_rows(record: dict[str, Any]) -> list[tuple[str, str]]:
    inspection, run = record["inspection"], record["run"]
    versions = ", ".join(f"{name} {version}" for name, version in inspection["versions"].items())
    hardware = inspection["hardware"]
    rows = [
        ("Run", run["folder"]),
        ("Trained with", run.get("command", "unknown")),
        ("Inspected with", inspection["command"]),
        ("Inspected on", f"{inspection['made']}, {hardware['processor']}"),
        ("Seed", f"{inspection['seed']} (samples, control weights, drawn rows of heatmaps)"),
        ("Control", "the same architecture, fresh weights, the same samples"),
        ("Commit", inspection["git"] or "not a checkout"),
        ("Versions", versions),
    ]
    return rows + [(f"Measure {key}", text) for key, text in record["conventions"].items()]
