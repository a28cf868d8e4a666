"""The white-box masked autoencoder in its flows and with shared weights: error, size, inverse.

    python -m benchmarks.autoencoder_variants recipes/mae/digits.yaml --seeds 0

Every variant trains by the same recipe but for the keys of ``VARIANTS``. The flow of MAE
(``efficient``) costs the encoder less; sharing saves parameters, so that its rows are no pair of
equals. How far the decoder undoes the encoder is measured on validation images.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path

from benchmarks.records import write_result
from whitebox_transformers import CrateMAEForPreTraining
from whitebox_transformers.analysis.inversion import measure_inversion
from whitebox_transformers.data.loading import evaluation_batches
from whitebox_transformers.evaluation.finished_run import load_run
from whitebox_transformers.tasks import task_of
from whitebox_transformers.training.recipe import load_recipe
from whitebox_transformers.training.run import RunResult, train

SHARED = [
    "model.config.decoder_dictionary=encoder",
    "model.config.decoder_subspaces=encoder",
]
VARIANTS: dict[str, list[str]] = {
    "published": [],
    "efficient": ["model.config.mask_tokens=decoder"],
    "shared": SHARED,
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=VARIANTS)
    parser.add_argument("--runs", type=Path, default=Path("runs/autoencoder-variants"))
    parser.add_argument("--out", type=Path, help="JSON file instead of the recorded one")
    return parser.parse_args()


def row(variant: str, results: list[RunResult]) -> dict:
    """Means over seeds."""
    inversions = [inversion(result.folder) for result in results]
    times = [json.loads((r.folder / "run.json").read_text())["cpu_seconds"] for r in results]
    return {
        "what": f"CRATE-MAE, {variant}",
        "seeds": len(results),
        "parameters": results[0].parameters,
        "test masked error": statistics.mean(result.scores["loss"] for result in results),
        "explained variance": statistics.mean(result.scores["explained"] for result in results),
        "CPU minutes a run": statistics.mean(times) / 60,
        **{key: statistics.mean(found[key] for found in inversions) for key in inversions[0]},
    }


def inversion(folder: Path) -> dict[str, float]:
    """How alike decoder and encoder are where the decoder begins and where it ends."""
    model, recipe = load_run(folder)
    validation = task_of(recipe).prepare(recipe)[0].validation
    assert isinstance(model, CrateMAEForPreTraining)
    found = measure_inversion(model, evaluation_batches(validation, 64))
    similarity = found.curves["pair_similarity"].mean
    return {
        "token similarity, first layer": similarity[1],
        "token similarity, last layer": similarity[-1],
        "subspace overlap": statistics.mean(found.weights["subspace_overlap"]),
        "dictionary cosine": statistics.mean(found.weights["dictionary_cosine"]),
    }


def main() -> None:
    options = arguments()
    rows = []
    for variant in options.variants:
        results = []
        for seed in options.seeds:
            recipe = load_recipe(options.recipe, [*VARIANTS[variant], f"seed={seed}"])
            results.append(train(recipe, options.runs / recipe.name / variant / f"seed{seed}"))
        rows.append(row(variant, results))
        print(rows[-1], flush=True)
    settings = {key: str(value) for key, value in vars(options).items() if key != "out"}
    name = recipe.name.replace("-", "_")
    print(write_result(f"variants_{name}", settings, rows, options.out))


if __name__ == "__main__":
    main()
