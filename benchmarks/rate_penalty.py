"""Does asking layers for their objective help? Weights of the penalty, paired over seeds.

    python -m benchmarks.rate_penalty recipes/image/digits.yaml --weights 0.001 0.01

A weight of 0, the recipe as it is, is always among them. Rows hold mean and spread over seeds of
the score by which the task chooses (test split, or validation where there is none), the paired
difference from weight 0 with its standard error, and what became of the layers: means over layers
at the end of training, from the run's own monitor.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from pathlib import Path

from benchmarks.learning import cpu_seconds, headline, measured_on, record_of
from benchmarks.records import write_result
from whitebox_transformers.training.rate_monitor import MONITORED
from whitebox_transformers.training.recipe import load_recipe
from whitebox_transformers.training.run import RunResult, train


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--weights", type=float, nargs="+", default=[0.001, 0.01])
    parser.add_argument("--layers", default="random", help="of train.rate_penalty")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="recipe's keys")
    parser.add_argument("--every", type=int, default=100, help="steps between measurements")
    parser.add_argument("--runs", type=Path, default=Path("runs/rate-penalty"))
    parser.add_argument("--out", type=Path, help="JSON file instead of the recorded one")
    return parser.parse_args()


def run(options: argparse.Namespace, weight: float, seed: int) -> RunResult:
    recipe = load_recipe(
        options.recipe,
        [
            *options.set,
            f"seed={seed}",
            f"train.rate_penalty.weight={weight}",
            f"train.rate_penalty.layers={options.layers}",
            f"train.monitor_rates={options.every}",
        ],
    )
    return train(recipe, options.runs / recipe.name / options.layers / f"{weight}-seed{seed}")


def layers_at_the_end(results: list[RunResult]) -> dict[str, float]:
    """Means over layers and seeds."""
    last = [json.loads((r.folder / "metrics.json").read_text())["rates"][-1] for r in results]
    return {
        key: statistics.fmean(value for entry in last for value in entry[key])
        for key in MONITORED
        if key in last[0]
    }


def row(weight: float, results: list[RunResult], plain: list[RunResult], key: str) -> dict:
    split = measured_on([*results, *plain])
    values = [result.on(split)[key] for result in results]
    pairs = zip(results, plain, strict=True)
    deltas = [mine.on(split)[key] - theirs.on(split)[key] for mine, theirs in pairs]
    several = len(values) > 1
    error = statistics.stdev(deltas) / math.sqrt(len(deltas)) if several else math.nan
    return {
        "weight": weight,
        f"{split} {key}": statistics.mean(values),
        "spread": statistics.stdev(values) if several else math.nan,
        "minus weight 0": statistics.mean(deltas),
        "standard error": error,
        "seeds": len(values),
        "CPU minutes a run": statistics.mean(cpu_seconds(result) for result in results) / 60,
        **layers_at_the_end(results),
    }


def main() -> None:
    options = arguments()
    found: dict[float, list[RunResult]] = {}
    for seed in options.seeds:
        for weight in [0.0, *options.weights]:
            found.setdefault(weight, []).append(run(options, weight, seed))
            print(weight, seed, found[weight][-1].scores, flush=True)
    key = headline(load_recipe(options.recipe)).key
    rows = [row(weight, results, found[0.0], key) for weight, results in found.items()]
    settings = {name: str(value) for name, value in vars(options).items() if name != "out"}
    name = load_recipe(options.recipe).name.replace("-", "_")
    path = write_result(
        f"rate_penalty_{name}",
        settings,
        rows,
        options.out,
        runs=[
            record_of(result) | {"weight": weight}
            for weight, results in found.items()
            for result in results
        ],
    )
    for line in rows:
        print(line)
    print(path)


if __name__ == "__main__":
    main()
