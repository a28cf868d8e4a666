"""Look at single coefficients of a text model: a JSON file and a page to browse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from whitebox_transformers.analysis.intervene import Coefficient
from whitebox_transformers.analysis.layers import layer_at
from whitebox_transformers.analysis.neuron_effect import EffectProbe
from whitebox_transformers.analysis.neurons import Neuron, NeuronStudy
from whitebox_transformers.data.seeding import permutation
from whitebox_transformers.errors import UserError
from whitebox_transformers.evaluation.language_model import LanguageModel, load_language_model
from whitebox_transformers.evaluation.texts import read_texts
from whitebox_transformers.report.neuron_page import NeuronReport, render_neurons
from whitebox_transformers.report.neuron_record import (
    DRAWN,
    EXCERPTS,
    RADIUS,
    Changes,
    neuron_record,
    record_rows,
)
from whitebox_transformers.report.neuron_view import (
    NeuronView,
    Summary,
    activity_section,
    summaries,
)
from whitebox_transformers.report.text_samples import (
    Samples,
    samples_of_split,
    samples_of_texts,
)
from whitebox_transformers.report.token_text import TokenText
from whitebox_transformers.tasks import task_of
from whitebox_transformers.training.files import write_json, write_text
from whitebox_transformers.training.run_folder import find_run, recipe_of

PROBE_TOKENS = 1024
# Log-probabilities of the probe, in numbers: 256 MiB in float32.
PROBE_NUMBERS = 2**26
LARGEST_PAGE = 9_500_000
DEFAULT_CHANGES = Changes()
LEAD = (
    "Which words switch a coefficient of the sparse code on, how often, how strongly, and what "
    "becomes of the predictions when it is changed."
)


@dataclass(frozen=True)
class NeuronFiles:
    """What `look_at_neurons` wrote.

    Attributes:
        json: Every number; statistics of all coefficients, excerpts and effects of those shown.
        html: The page, one self-contained file.
        shown: How many coefficients the page has.
        notes: Whatever was left out, with the reason.
    """

    json: Path
    html: Path
    shown: int
    notes: list[str]


def look_at_neurons(
    run: str | Path,
    layers: Sequence[int] | None = None,
    top: int = 24,
    neurons: Sequence[int] | None = None,
    data: Sequence[str | Path] | None = None,
    samples: int = 256,
    changes: Changes = DEFAULT_CHANGES,
    out: str | Path | None = None,
    seed: int = 0,
    device: str | None = None,
) -> NeuronFiles:
    """Statistics, excerpts and effects of the coefficients of a CRATE language model.

    Args:
        run: Finished run, or a model folder if ``data`` is given.
        layers: Numbers from 1, or negative from the end; None for all.
        top: Coefficients of each layer to show: those of the largest mean square.
        neurons: Show these numbers, from 0, of each layer instead.
        data: Texts to read; None for the run's validation split.
        samples: How many pieces of text to look at.
        changes: What is tried on every coefficient shown.
        out: Folder to write; ``neurons`` in the run folder if None.
        seed: Of the samples, the random excerpts and the probe.
        device: Where to compute; None: an accelerator if there is one.

    Raises:
        UserError: No such model, layer or coefficient, no CRATE layers, or texts that cannot be
            used; before any work.
    """
    if min(top, samples) < 1:
        raise UserError(f"top={top} and samples={samples} must be at least 1")
    texts = read_texts(data) if data else None
    language = load_language_model(run, device)
    indices = _layer_indices(language, layers, neurons)
    if texts is None:
        folder = find_run(run)
        recipe = recipe_of(folder)
        split = task_of(recipe).data_of_run(recipe, folder.path).validation
        chosen, source = samples_of_split(split, samples, seed), "the run's validation split"
    else:
        chosen = samples_of_texts(language, texts, samples, seed)
        source = ", ".join(str(name) for name in data or ())
    study = NeuronStudy(language.model, chosen, indices, EXCERPTS, RADIUS, _batch_size(chosen))
    wanted = {
        layer: list(neurons) if neurons else study.strongest(layer, top) for layer in study.layers
    }
    found = study.neurons(wanted, DRAWN, seed)
    numbers = {layer: list(summaries(study.statistics[layer])) for layer in study.layers}
    views = _with_effects(language, study, found, numbers, changes, seed)
    record = neuron_record(language, study, source, seed, changes, texts.sources if texts else [])
    folder = Path(out or Path(run) / "neurons").expanduser()
    return _write(folder, language, study, views, numbers, record)


def _layer_indices(
    language: LanguageModel, layers: Sequence[int] | None, neurons: Sequence[int] | None
) -> list[int] | None:
    """Layer indices from 0; layers and coefficients are checked.

    Raises:
        UserError: One does not exist, or there are no CRATE layers.
    """
    layer_at(language.model, 0)
    depth = language.model.config.num_hidden_layers
    for layer in layers or ():
        if not 1 <= abs(layer) <= depth:
            raise UserError(
                f"layer {layer} does not exist: choose 1 to {depth}, or -1 to -{depth} from the end"
            )
    for neuron in neurons or ():
        Coefficient(0, neuron).tap(language.model, torch.zeros_like)
    return None if layers is None else [n - 1 if n > 0 else n for n in layers]


def _batch_size(samples: Samples) -> int:
    """Samples whose coefficients of one layer are a moderate amount of memory."""
    return max(1, 4096 // samples["input_ids"].shape[1])


def _with_effects(
    language: LanguageModel,
    study: NeuronStudy,
    found: Sequence[Neuron],
    numbers: Mapping[int, Sequence[Summary]],
    changes: Changes,
    seed: int,
) -> list[NeuronView]:
    """Coefficients with what their changes do, the strongest effect first."""
    probe = EffectProbe(language.model, _probe_samples(language, study.samples, seed))
    views = []
    for neuron in tqdm(found, desc="effects", unit="coefficient", leave=False, delay=1):
        summary = numbers[neuron.layer][neuron.index]
        effects = {}
        if neuron.top:
            first = neuron.top[0]
            target = Coefficient(neuron.layer, neuron.index)
            sample = study.sample(first.sample)
            effects = probe.effects(target, changes.on(neuron), sample, first.token)
        views.append(NeuronView(neuron, summary, effects))
    return sorted(views, key=lambda view: -view.effect)


def _probe_samples(language: LanguageModel, samples: Mapping[str, Tensor], seed: int) -> Samples:
    """A few of the samples, of which log-probabilities can be kept."""
    count, length = samples["input_ids"].shape
    vocabulary = language.model.config.get_text_config().vocab_size
    tokens = min(PROBE_TOKENS, PROBE_NUMBERS // vocabulary)
    chosen = permutation(count, seed, "probe")[: max(1, tokens // length)]
    return {key: value[chosen] for key, value in samples.items()}


def _write(
    folder: Path,
    language: LanguageModel,
    study: NeuronStudy,
    views: list[NeuronView],
    numbers: Mapping[int, Sequence[Summary]],
    record: dict[str, Any],
) -> NeuronFiles:
    """JSON first; the page, which people open, comes last."""
    text = TokenText(language.tokenizer)
    values = record | {
        "statistics": {
            str(layer + 1): {
                "share_active": [summary.share_active for summary in rows],
                "mean_where_active": [summary.mean for summary in rows],
                "largest": [summary.largest for summary in rows],
                "root_mean_square": [summary.root_mean_square for summary in rows],
            }
            for layer, rows in numbers.items()
        },
        "neurons": [view.to_json(text, text.name) for view in views],
    }
    write_json(folder / "neurons.json", values)
    page, notes = _page_that_fits(_report(language, study, views, numbers, record, text))
    write_text(folder / "index.html", page)
    return NeuronFiles(folder / "neurons.json", folder / "index.html", len(views), notes)


def _report(
    language: LanguageModel,
    study: NeuronStudy,
    views: list[NeuronView],
    numbers: Mapping[int, Sequence[Summary]],
    record: dict[str, Any],
    text: TokenText,
) -> NeuronReport:
    masked = language.kind == "masked"
    looked = record["looked_at"]
    atoms = len(next(iter(numbers.values())))
    facts = [
        ("Model", type(language.model).__name__),
        ("Layers looked at", ", ".join(str(layer + 1) for layer in numbers)),
        ("Coefficients per layer", f"{atoms:,}"),
        ("Shown here", f"{len(views):,}"),
        ("Tokens", f"{looked['tokens']:,} in {looked['samples']:,} samples"),
    ]
    return NeuronReport(
        title=Path(language.name).name,
        lead=LEAD,
        facts=facts,
        overview=activity_section(numbers),
        views=views,
        changes=record["protocol"]["changes"],
        text=text,
        outcome=text.name,
        place="token at the place" if masked else "next token",
        provenance=record_rows(record),
        notes=[],
    )


def _page_that_fits(report: NeuronReport) -> tuple[str, list[str]]:
    """The page, with the coefficients of least effect left out if it would be too large."""
    page, notes, count = render_neurons(report), [], len(report.views)
    while len(page.encode()) > LARGEST_PAGE:
        count = int(count * min(0.9, LARGEST_PAGE / len(page.encode())))
        notes = [
            f"{len(report.views) - count} of {len(report.views)} coefficients, those of least "
            "effect, to keep this page small; they are in neurons.json"
        ]
        page = render_neurons(replace(report, views=report.views[:count], notes=notes))
    return page, notes
