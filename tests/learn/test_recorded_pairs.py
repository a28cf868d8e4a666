"""What `benchmarks.learning` records of a pair on text is what the documentation shows."""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path

import pytest
import yaml
from benchmarks import learning
from tests.learn.tiny_text_run import CONFIGS, tiny_text_recipe, write_language

from whitebox_transformers.training.recipe import recipe_to_dict

ROOT = Path(__file__).parents[2]


@pytest.fixture
def recorded(tmp_path, monkeypatch) -> Path:
    """Results of the recipe as written and of a variant, two seeds each."""
    text = write_language(tmp_path / "text")
    recipe = tiny_text_recipe("causal-lm", "crate-gpt", text, steps=2, device="cpu", accumulate=1)
    values = recipe_to_dict(recipe) | {
        "against": {"family": "gpt2", "config": CONFIGS["gpt2"] | {"n_embd": 10}}
    }
    file = tmp_path / "recipes" / "clm" / "tiny.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("# A tiny language: two arms\n" + yaml.safe_dump(values))
    monkeypatch.setattr(learning, "check_equal_parameters", lambda arms: 1.0)
    for label in ("", "no self"):
        name = "learning_tiny_" + label.replace(" ", "_")
        command = ["learning", str(file), "--seeds", "0", "1", "--runs", str(tmp_path / "runs")]
        command += ["--out", str(tmp_path / "results" / f"{name}.json")]
        if label:
            command += ["--label", label, "--set", "model.config.attend_self=false"]
        monkeypatch.setattr(sys, "argv", command)
        learning.main()
    return tmp_path


def test_rows_of_pairs_are_those_of_their_runs(recorded, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    rows = __import__("learning_rows")
    (tiny, found), *others = rows.pairs_by_recipe(recorded / "results", ["mlm", "clm"]).items()
    assert not others
    assert rows.pairs_by_recipe(recorded / "results", ["mlm"]) == {}
    assert rows.title(tiny).startswith("A tiny language (")
    arms, runs = rows.rows_of(found)
    assert [arm["model"] for arm in arms] == ["crate-gpt", "crate-gpt (no self)", "gpt2"]
    assert len(runs) == 6
    scores = {}
    for folder in (recorded / "runs").rglob("metrics.json"):
        key = ("no self " if "no self" in str(folder) else "") + folder.parent.name
        scores[key] = json.loads(folder.read_text())["test"]
    assert len(scores) == 6
    for arm, name in zip(arms, ("crate-gpt", "no self crate-gpt", "gpt2"), strict=True):
        of_arm = [scores[f"{name}-seed{seed}"] for seed in (0, 1)]
        losses = [score["loss"] for score in of_arm]
        shown = f"{statistics.mean(losses):.4f} ± {statistics.stdev(losses):.4f}"
        assert arm["test loss"] == shown
        bits = statistics.mean(score["bits_per_byte"] for score in of_arm)
        assert arm["bits per byte"] == f"{bits:.3f}"
        if name != "gpt2":
            black = [scores[f"gpt2-seed{seed}"]["loss"] for seed in (0, 1)]
            gaps = [white - other for white, other in zip(losses, black, strict=True)]
            error = statistics.stdev(gaps) / 2**0.5
            verdict = "above" if statistics.mean(gaps) > error else "not above"
            shown = f"{statistics.mean(gaps):+.4f} ± {error:.4f} ({verdict})"
            assert arm["minus the black box"] == shown
