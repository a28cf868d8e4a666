"""What `benchmarks.learning` recorded, as rows for people to read."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
BESIDE = (("bits_per_byte", "bits per byte", "{:.3f}"), ("perplexity", "perplexity", "{:,.2f}"))
"""Scores shown beside the one that the task chooses by, where the runs have them."""


@dataclass(frozen=True)
class Pair:
    """One result file: a white box, its black box, and what was measured of them."""

    path: Path
    stored: dict[str, Any]

    @property
    def recipe(self) -> Path:
        """The recipe of both arms."""
        return Path(self.stored["settings"]["recipe"])

    @property
    def arms(self) -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
        """Row and runs of the white box, then of the black box."""
        rows, runs = self.stored["rows"], self.stored["runs"]
        half = len(runs) // 2
        return [(rows[0], runs[:half]), (rows[1], runs[half:])]

    @property
    def names(self) -> tuple[str, str]:
        """What the arms are called, apart even where a black box is one by its configuration."""
        white, black = (row["what"].rpartition(", ")[0] for row, _ in self.arms)
        alike = white.partition(" (")[0] == black
        return white, f"{black} as black box" if alike else black

    @property
    def score(self) -> str:
        """Split and name of the score that is compared."""
        return self.arms[0][0]["what"].rpartition(", ")[2]

    @property
    def difference(self) -> str:
        """White box minus black box with its standard error, and the verdict."""
        row = self.stored["rows"][2]
        verdict = row["what"].partition("(")[2].rstrip(")")
        return f"{row['mean']:+.4f}{_plus_minus(row['standard error'])} ({verdict})"


def pairs_by_recipe(results: Path, folders: Sequence[str]) -> dict[Path, list[Pair]]:
    """The recorded pairs of the recipes in some folders of ``recipes/``, folder by folder."""
    pairs = [
        Pair(path, json.loads(path.read_text(encoding="utf-8")))
        for path in sorted(results.glob("learning_*.json"))
    ]
    found: dict[Path, list[Pair]] = {}
    for folder in folders:
        for pair in pairs:
            if pair.recipe.parent.name == folder:
                found.setdefault(pair.recipe, []).append(pair)
    return found


def rows_of(pairs: Sequence[Pair]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """A row for every arm, white boxes first, and a row for every run.

    The runs of a black box serve all variants of the white box, and are shown once.
    """
    arms, runs = [], []
    for pair in pairs:
        for index, name in enumerate(pair.names):
            row, of_arm = pair.arms[index]
            shown = {"model": name} | arm_row(pair.score, row, of_arm)
            if index == 0:
                shown["minus the black box"] = pair.difference
            if shown not in arms:
                arms.append(shown)
                runs += [{"model": name} | run_row(run) for run in of_arm]
    return sorted(arms, key=lambda arm: "minus the black box" not in arm), runs


def title(recipe: Path) -> str:
    """The words before the colon in a recipe's first line; its name if it is not here."""
    path = ROOT / recipe
    first = path.read_text(encoding="utf-8").partition("\n")[0] if path.is_file() else ""
    words = first.lstrip("# ").partition(":")[0]
    return f"{words} ({recipe.as_posix()})" if words else recipe.as_posix()


def arm_row(score: str, row: dict[str, Any], runs: list[dict[str, Any]]) -> dict[str, Any]:
    """One arm over its seeds, by the score that is compared."""
    shown: dict[str, Any] = {
        "parameters": f"{row['parameters']:,}",
        "seeds": row["seeds"],
        score: f"{row['mean']:.4f}{_plus_minus(row['spread'])}",
    }
    split = score.partition(" ")[0]
    for key, name, style in BESIDE:
        values = [run[f"{split}_{key}"] for run in runs if f"{split}_{key}" in run]
        if values:
            shown[name] = style.format(statistics.mean(values))
    shown["CPU minutes a run"] = f"{row['CPU minutes a run']:.1f}"
    chosen = row["chosen on validation"].replace("train.learning_rate=", "rate ")
    shown["tuned"] = chosen.replace("-", "\N{NON-BREAKING HYPHEN}")
    return shown


def run_row(run: dict[str, Any]) -> dict[str, Any]:
    """One run: its seed and its scores."""
    return {
        key.replace("_", " "): value for key, value in run.items() if isinstance(value, int | float)
    }


def _plus_minus(value: float | None) -> str:
    return "" if value is None else f" ± {value:.4f}"  # a single seed has no spread
