"""Single runs of one recipe as a table: what each changed from the first, and what came of it.

    for lr in 3e-3 5e-3; do
      wbt train recipes/clm/shakespeare.yaml train.steps=400 train.learning_rate=$lr out=runs/ab/$lr
    done
    python -m benchmarks.ablations runs/ab/3e-3 runs/ab/5e-3 --name clm_shakespeare

One seed each: such a table says what to try with more seeds, not what is better.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import yaml

from benchmarks.records import write_result
from whitebox_transformers.training.recipe import differences
from whitebox_transformers.training.run_folder import FREE_KEYS


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+", help="finished runs; the first is the base")
    parser.add_argument("--name", required=True, help="of the result: ablations_NAME.json")
    parser.add_argument("--out", type=Path, help="JSON file instead of the recorded one")
    return parser.parse_args()


def recipe_of(run: Path) -> dict:
    """The run's recipe as it was saved."""
    return yaml.safe_load((run / "recipe.yaml").read_text(encoding="utf-8"))


def changes(base: dict, recipe: dict) -> dict[str, object]:
    """Keys of a recipe that differ from the base's and can change a result, with their values."""
    return {
        key: "default" if new is None else new
        for key, (_, new) in differences(base, recipe).items()
        if FREE_KEYS.isdisjoint({key, key.partition(".")[0]})
    }


def row(run: Path, base: dict) -> dict:
    """What a run changed, and the last validation of its curve."""
    changed = changes(base, recipe_of(run))
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    curve = json.loads((run / "metrics.json").read_text(encoding="utf-8"))["validation"]
    listed = ", ".join(f"{key.removeprefix('model.config.')}: {changed[key]}" for key in changed)
    return {
        "changed": listed or "nothing: the base",
        "parameters": record["parameters"],
        "steps": curve[-1]["step"],
        "seed": record["seed"],
        **{key: value for key, value in curve[-1].items() if key not in ("step", "epoch")},
    }


def main() -> None:
    options = arguments()
    base = recipe_of(options.runs[0])
    rows = [row(run, base) for run in options.runs]
    shown = ("name", "context", "model", "train")
    settings = {"base": {key: base[key] for key in shown if key in base}}
    path = write_result(f"ablations_{options.name}", settings, rows, options.out)
    for found in rows:
        print(found)
    print(path)


if __name__ == "__main__":
    main()
