"""A pair of learners: tune both arms on validation with one grid, then train both on many seeds.

    python -m benchmarks.learning recipes/image/digits.yaml --seeds 0 1 2 3 4 \
        --grid train.learning_rate=1e-3,3e-3
    python -m benchmarks.learning recipes/clm/shakespeare.yaml --label rotary \
        --set model.config.position_embedding_type=rotary

The grid is the product of the values given, the same for both arms, at most 12 runs each, on the
seed ``--tuning-seed``; the best by the task's validation score is kept. ``--tuning-set
train.steps=400`` shortens the tuning runs. Without ``--grid`` the recipe is taken as it is, with
``--set`` over it. Runs are resumed, so an interrupted call may be given again. The table holds mean
and spread over seeds and the paired difference with its standard error: of the score by which the
task chooses, on the test split or, where the recipe has none, on the validation split. A
``--label`` names a variant of the white box, which gets a result file of its own; the black box's
runs serve all variants.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import statistics
from dataclasses import replace
from pathlib import Path

from benchmarks.records import write_result
from whitebox_transformers.tasks import task_of
from whitebox_transformers.tasks.recipe import Recipe
from whitebox_transformers.tasks.task import Score
from whitebox_transformers.training.compare import check_equal_parameters, comparison_arms
from whitebox_transformers.training.recipe import load_recipe
from whitebox_transformers.training.run import RunResult, train

MOST_TUNING_RUNS = 12


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--grid", nargs="*", default=[], metavar="KEY=A,B,C")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="recipe's keys")
    parser.add_argument("--label", default="", help="names a variant of the white box")
    parser.add_argument("--tuning-seed", type=int, default=1000)
    parser.add_argument(
        "--tuning-set", nargs="*", default=[], metavar="KEY=VALUE", help="keys of tuning runs alone"
    )
    parser.add_argument("--runs", type=Path, default=Path("runs/pairs"), help="where runs go")
    parser.add_argument("--out", type=Path, help="JSON file instead of the recorded one")
    return parser.parse_args()


def grid_points(grid: list[str]) -> list[list[str]]:
    """All combinations as override lists; one empty list without a grid."""
    axes = []
    for axis in grid:
        key, _, values = axis.partition("=")
        axes.append([f"{key}={value}" for value in values.split(",")])
    points = [list(point) for point in itertools.product(*axes)]
    if len(points) > MOST_TUNING_RUNS:
        raise SystemExit(f"the grid has {len(points)} points; at most {MOST_TUNING_RUNS} an arm")
    return points


def arms_of(
    options: argparse.Namespace, overrides: list[str], seed: int, runs: Path
) -> tuple[Recipe, Recipe]:
    """White box and black box, in folders by grid point; the label is the white box's alone."""
    recipe = load_recipe(options.recipe, [*options.set, *overrides, f"seed={seed}"])
    tag = "_".join(o.replace("train.", "").replace("=", "") for o in overrides) or "as-written"
    white, black = comparison_arms(replace(recipe, out=str(runs / recipe.name / tag)))
    if options.label:
        folder = Path(white.out or "")
        white = replace(white, out=str(folder.parent / options.label / folder.name))
    return white, black


def tune(options: argparse.Namespace) -> tuple[list[list[str]], list[list[dict]]]:
    """Per arm, the overrides that did best on validation, and every trial."""
    points, trials = grid_points(options.grid), [[], []]
    if len(points) == 1:
        return [points[0], points[0]], trials
    for overrides in points:
        keys = [*overrides, *options.tuning_set]
        arms = arms_of(options, keys, options.tuning_seed, options.runs / "tuning")
        for arm, found in zip(arms, trials, strict=True):
            validation = train(arm).validation[headline(arm).key]
            found.append({"overrides": overrides, "validation": validation})
            print(arm.model.family, found[-1], flush=True)
    rank = headline(arms[0]).rank
    best = [
        max(found, key=lambda trial: rank(trial["validation"]))["overrides"] for found in trials
    ]
    return best, trials


def headline(recipe: Recipe) -> Score:
    """The score that the arms are tuned and compared by."""
    return task_of(recipe).headline


def measured_on(results: list[RunResult]) -> str:
    """The split whose scores are reported."""
    return "test" if all(result.scores for result in results) else "validation"


def summary(results: list[RunResult], score: Score, chosen: list[str], label: str = "") -> dict:
    """One row: mean and spread of an arm over its seeds."""
    split = measured_on(results)
    values = [result.on(split)[score.key] for result in results]
    name = f"{results[0].family} ({label})" if label else results[0].family
    return {
        "what": f"{name}, {split} {score.title}",
        "mean": statistics.mean(values),
        "spread": statistics.stdev(values) if len(values) > 1 else None,
        "seeds": len(results),
        "parameters": results[0].parameters,
        "CPU minutes a run": statistics.mean(cpu_seconds(result) for result in results) / 60,
        "chosen on validation": " ".join(chosen) or "as written",
    }


def cpu_seconds(result: RunResult) -> float:
    return json.loads((result.folder / "run.json").read_text())["cpu_seconds"]


def record_of(result: RunResult) -> dict:
    """What a run came to, with its validation curve."""
    curve = json.loads((result.folder / "metrics.json").read_text())["validation"]
    return {
        "family": result.family,
        "seed": json.loads((result.folder / "run.json").read_text())["seed"],
        **{f"test_{key}": value for key, value in result.scores.items()},
        **{f"validation_{key}": value for key, value in result.validation.items()},
        "seconds": result.seconds,
        "cpu_seconds": cpu_seconds(result),
        "validation": curve,
    }


def paired_difference(white: list[RunResult], black: list[RunResult], score: Score) -> dict:
    """White minus black, seed by seed."""
    split = measured_on([*white, *black])
    pairs = zip(white, black, strict=True)
    deltas = [a.on(split)[score.key] - b.on(split)[score.key] for a, b in pairs]
    mean = statistics.mean(deltas)
    error = statistics.stdev(deltas) / math.sqrt(len(deltas)) if len(deltas) > 1 else None
    worse = "below" if score.higher_is_better else "above"
    verdict = f"not {worse}" if score.rank(mean) >= -(error or 0.0) else worse
    return {
        "what": f"white box minus black box ({verdict})",
        "mean": mean,
        "standard error": error,
        "seeds": len(deltas),
    }


def main() -> None:
    options = arguments()
    best, trials = tune(options)
    results: list[list[RunResult]] = [[], []]
    for seed in options.seeds:
        for index, overrides in enumerate(best):
            arms = arms_of(options, overrides, seed, options.runs)
            if seed == options.seeds[0]:
                check_equal_parameters(arms)
            results[index].append(train(arms[index]))
            print(seed, results[index][-1], flush=True)
    score = headline(arms[0])
    rows = [
        summary(results[0], score, best[0], options.label),
        summary(results[1], score, best[1]),
        paired_difference(*results, score),
    ]
    settings = {key: str(value) for key, value in vars(options).items() if key != "out"}
    path = write_result(
        "_".join(("learning", *arms[0].name.split("-"), *options.label.split())),
        settings,
        rows,
        options.out,
        runs=[record_of(result) for found in results for result in found],
        tuning=trials,
    )
    for row in rows:
        print(row)
    print(path)


if __name__ == "__main__":
    main()
