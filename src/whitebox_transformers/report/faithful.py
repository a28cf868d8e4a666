"""How faithful a finished run's layers are to the derivation: numbers, words, one picture."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import torch
from torch import nn

from whitebox_transformers.analysis.layers import layer_at, subspaces_of
from whitebox_transformers.analysis.layerwise import untrained
from whitebox_transformers.data.measured import MEASURED_SAMPLES, measured_batches
from whitebox_transformers.errors import UserError
from whitebox_transformers.evaluation.finished_run import load_run
from whitebox_transformers.extras import require
from whitebox_transformers.report.canvas import save, styled
from whitebox_transformers.report.content import Table
from whitebox_transformers.report.faithful_figure import draw_study
from whitebox_transformers.report.faithful_study import FaithfulStudy, study_steps
from whitebox_transformers.report.faithful_words import findings, tables
from whitebox_transformers.report.layer_study import batch_size_of
from whitebox_transformers.tasks import task_of
from whitebox_transformers.training.files import write_json
from whitebox_transformers.training.provenance import provenance
from whitebox_transformers.training.run_folder import find_run


@dataclass(frozen=True)
class FaithfulResult:
    """What `faithful` found and wrote.

    Attributes:
        study: Every number.
        tables: The main ones by layer.
        findings: Sentences that count them.
        json: Every number with its definition and provenance.
        png: The picture.
    """

    study: FaithfulStudy
    tables: list[Table]
    findings: list[str]
    json: Path
    png: Path


def faithful(
    run_dir: str | Path,
    samples: int = MEASURED_SAMPLES,
    split: str = "validation",
    out: str | Path | None = None,
    device: str | None = None,
) -> FaithfulResult:
    """Hold the layers of a finished run against the derivation.

    Beside it stand the same architecture with fresh weights on the same samples, and the trained
    weights on Gaussian tokens.

    Args:
        run_dir: Run folder of a white box with MSSA, of images or of text.
        samples: How many are measured, drawn with the run's seed.
        split: ``validation``, ``train`` (without augmentation) or ``test``.
        out: Folder to write; ``faithful`` in the run folder if None.
        device: Where to compute, e.g. ``"cpu"``; as the run's recipe says if None.

    Raises:
        UserError: No finished run there, a black box, no such split, or data not found.
        MissingExtra: matplotlib is not installed.
    """
    require("matplotlib", extra="analysis")  # before the work, not after it
    if samples < 1:
        raise UserError(f"samples={samples} must be at least 1")
    folder = find_run(run_dir)
    model, recipe = load_run(run_dir)
    subspaces_of(layer_at(model, 0))
    if device:
        nn.Module.to(model, torch.device(device))
    data = task_of(recipe).data_of_run(recipe, folder.path)
    splits = {"train": data.train_plain, "validation": data.validation, "test": data.test}
    chosen = splits.get(split)
    if chosen is None:
        there = ", ".join(name for name, found in splits.items() if found is not None)
        raise UserError(f"split {split!r} is not one of this run's; choose one of: {there}")
    size, seen = batch_size_of(recipe), task_of(recipe).seen_by_layers
    study = study_steps(
        model,
        untrained(model, recipe.seed),
        lambda title: (
            seen(model, batch)
            for batch in measured_batches(chosen, samples, size, recipe.seed, title)
        ),
        recipe.seed,
    )
    target = Path(out or folder.path / "faithful").expanduser()
    record = provenance() | {
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "run": str(folder.path),
        "split": split,
        "samples": study.steps["trained"].count,
        "seed": recipe.seed,
    }
    words = findings(study)
    write_json(target / "faithful.json", record | {"findings": words} | study.to_json())
    with styled():
        png = save(draw_study(study, recipe.name), target / "faithful.png")
    return FaithfulResult(study, tables(study), words, target / "faithful.json", png)
