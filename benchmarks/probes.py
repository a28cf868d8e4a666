"""What the features of finished runs are worth: k-NN and linear probes over families and seeds.

    python -m benchmarks.probes mae_digits runs/pairs/mae-digits/as-written/* --pooling mean
    python -m benchmarks.probes dino_cifar10 runs/pairs/dino-cifar10/as-written/* \
        --set data.limit=10000

Every run is judged as ``wbt probe`` judges it, on its own data, beside the same network untrained;
raw pixels and as many principal components as the features are wide are judged once for a family.
Without ``--pooling`` each model is read as it was trained to be: by the mean token where its
configuration says so, else by the class token. Features are kept, so an interrupted call may be
given again.
"""

from __future__ import annotations

import argparse
import math
import statistics
from pathlib import Path

from benchmarks.records import write_result
from whitebox_transformers.evaluation.probes import ProbeResult, ProbeSettings, probe
from whitebox_transformers.evaluation.probes.settings import BASELINES, POOLINGS
from whitebox_transformers.training.run_folder import find_run, recipe_of

K = 20
"""Neighbours of the score in the table; the file holds the others."""
KINDS = (f"k-NN {K}", "linear")
Scores = list[dict[str, float]]
"""Of each seed, by kind of probe."""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", help="of the recorded file, e.g. mae_digits")
    parser.add_argument("runs", type=Path, nargs="+", help="finished runs, of any families")
    parser.add_argument("--pooling", choices=POOLINGS, help="for all of them")
    parser.add_argument("--split", choices=("validation", "test"), default="test")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="of data")
    parser.add_argument("--cache", type=Path, default=Path("runs/probe-features"))
    parser.add_argument("--out", type=Path, help="JSON file instead of the recorded one")
    return parser.parse_args()


def family_and_seed(run: Path) -> tuple[str, int]:
    recipe = recipe_of(find_run(run))
    return recipe.model.family, recipe.seed


def judge(options: argparse.Namespace) -> dict[str, dict[int, ProbeResult]]:
    """What the probes found, by family and seed; the first seed has all baselines."""
    found: dict[str, dict[int, ProbeResult]] = {}
    for run in sorted(options.runs, key=family_and_seed):
        family, seed = family_and_seed(run)
        of_family = found.setdefault(family, {})
        settings = ProbeSettings(
            pooling=options.pooling,
            split=options.split,
            baselines=BASELINES[:1] if of_family else BASELINES,
            seed=seed,
        )
        of_family[seed] = probe(run, settings=settings, overrides=options.set, cache=options.cache)
        print(
            family, seed, {t: headlines(s) for t, s in of_family[seed].scores.items()}, flush=True
        )
    return found


def headlines(scores: dict) -> dict[str, float]:
    return {KINDS[0]: scores["knn"][str(K)], KINDS[1]: scores["linear"]["accuracy"]}


def scores_of(found: dict[int, ProbeResult], title: str) -> Scores:
    """Of the seeds in their order, those that have it."""
    return [headlines(r.scores[title]) for _, r in sorted(found.items()) if title in r.scores]


def row(what: str, scores: Scores, width: int) -> dict:
    """Means over seeds, and their spread."""
    told: dict = {"what": what, "width": width, "seeds": len(scores)}
    for kind in KINDS:
        values = [of_seed[kind] for of_seed in scores]
        told[kind] = statistics.mean(values)
        told[f"{kind}, spread"] = statistics.stdev(values) if len(values) > 1 else None
    return told


def difference(what: str, first: Scores, second: Scores) -> dict:
    """First minus second, seed by seed, with the standard error of the mean."""
    told: dict = {"what": what, "seeds": len(first)}
    for kind in KINDS:
        deltas = [a[kind] - b[kind] for a, b in zip(first, second, strict=True)]
        told[kind] = statistics.mean(deltas)
        several = len(deltas) > 1
        told[f"{kind}, standard error"] = (
            statistics.stdev(deltas) / math.sqrt(len(deltas)) if several else None
        )
    return told


def rows_of(found: dict[str, dict[int, ProbeResult]]) -> list[dict]:
    """Models, what each gained over its untrained network, and family minus family."""
    rows, gains = [], []
    for family, results in found.items():
        first = next(iter(results.values()))
        for title in first.scores:
            what = f"{family}, {title}" if title in ("trained", "untrained") else title
            told = row(what, scores_of(results, title), first.scores[title]["width"])
            if told not in rows:
                rows.append(told)
        trained, untrained = (scores_of(results, title) for title in ("trained", "untrained"))
        gains.append(difference(f"{family}, trained minus untrained", trained, untrained))
    families = list(found)
    if len(families) == 2 and found[families[0]].keys() == found[families[1]].keys():
        arms = (scores_of(found[family], "trained") for family in families)
        gains.append(difference(f"{families[0]} minus {families[1]}, trained", *arms))
    return rows + gains


def main() -> None:
    options = arguments()
    found = judge(options)
    rows = rows_of(found)
    details = [
        {"family": family, "seed": seed, **result.record}
        for family, results in found.items()
        for seed, result in results.items()
    ]
    settings = {key: str(value) for key, value in vars(options).items() if key != "out"}
    path = write_result(f"probes_{options.name}", settings, rows, options.out, probes=details)
    for told in rows:
        print(told)
    print(path)


if __name__ == "__main__":
    main()
