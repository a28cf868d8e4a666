"""What `benchmarks.probes` records of runs is what probing each of them by hand gives."""

from __future__ import annotations

import json
import statistics
import sys

from benchmarks import probes
from tests.learn.tiny_mae_run import tiny_mae_recipe

from whitebox_transformers.evaluation.probes import ProbeSettings, probe
from whitebox_transformers.training.run import train


def test_rows_are_means_over_seeds_of_what_each_probe_says(tmp_path, monkeypatch):
    folders = {}
    for family in ("crate-mae", "vit-mae"):
        for seed in (0, 1):
            recipe = tiny_mae_recipe(family, steps=1, accumulate=1, evaluate_every=1)
            recipe.seed = seed
            folders[family, seed] = train(recipe, tmp_path / f"{family}-{seed}").folder
    out = tmp_path / "probes.json"
    command = ["probes", "tiny", *map(str, folders.values()), "--pooling", "mean"]
    monkeypatch.setattr(sys, "argv", [*command, "--cache", str(tmp_path / "f"), "--out", str(out)])
    probes.main()
    rows = {row["what"]: row for row in json.loads(out.read_text())["rows"]}

    def by_hand(family, title):
        found = []
        for seed in (0, 1):
            settings = ProbeSettings(pooling="mean", seed=seed, baselines=("untrained",))
            result = probe(folders[family, seed], settings=settings, cache=tmp_path / "hand")
            found.append(result.scores[title]["linear"]["accuracy"])
        return found

    white, black = (by_hand(family, "trained") for family in ("crate-mae", "vit-mae"))
    fresh = by_hand("crate-mae", "untrained")
    assert rows["crate-mae, trained"]["linear"] == statistics.mean(white)
    assert rows["crate-mae, trained"]["linear, spread"] == statistics.stdev(white)
    assert rows["vit-mae, trained"]["linear"] == statistics.mean(black)
    gain = [a - b for a, b in zip(white, fresh, strict=True)]
    assert rows["crate-mae, trained minus untrained"]["linear"] == statistics.mean(gain)
    gap = [a - b for a, b in zip(white, black, strict=True)]
    last = rows["crate-mae minus vit-mae, trained"]
    assert last["linear"] == statistics.mean(gap)
    assert last["linear, standard error"] == statistics.stdev(gap) / 2**0.5
    assert rows["pixels"]["seeds"] == 1
    assert rows["pixels"]["width"] == 64
