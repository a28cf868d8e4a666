"""`wbt compare` of language models prints what language models are judged by."""

from __future__ import annotations

import json
import math
import re

import pytest
from tests.learn.tiny_text_run import CONFIGS, tiny_text_recipe, write_language
from typer.testing import CliRunner
from yaml import safe_dump

from whitebox_transformers.training.recipe import recipe_to_dict
from whitebox_transformers_cli.app import app

# The black box, how wide inside it has as many parameters as a white box of width 24, and what
# else is printed.
ARMS = {
    "causal-lm": ("crate-gpt", "gpt2", {"n_inner": 28}, []),
    "masked-lm": ("crate-bert", "bert", {"intermediate_size": 41}, ["masked accuracy"]),
}


@pytest.mark.parametrize("task", ARMS)
def test_loss_bits_and_perplexity_of_both_arms(task, tmp_path):
    family, black, width, more = ARMS[task]
    text = write_language(tmp_path / "language")
    recipe = tiny_text_recipe(task, family, text, steps=2, checkpoint_every=2, evaluate_every=2)
    values = recipe_to_dict(recipe)
    values["model"]["config"] = CONFIGS[family] | {"hidden_size": 24}
    values["against"] = {"family": black, "config": CONFIGS[black] | width}
    (tmp_path / "recipe.yaml").write_text(safe_dump(values))
    result = CliRunner().invoke(
        app, ["compare", str(tmp_path / "recipe.yaml"), f"out={tmp_path / 'pair'}"]
    )
    assert result.exit_code == 0, result.output
    for heading in ("loss", "bits per byte", "perplexity", *more):
        assert heading in result.stdout
    for name in (family, black):
        (row,) = re.findall(rf"^ *{name} +([\d,]+) +(.*)$", result.stdout, flags=re.MULTILINE)
        loss, bits, perplexity = (float(cell) for cell in row[1].split()[:3])
        best = json.loads((tmp_path / "pair" / f"{name}-seed0" / "metrics.json").read_text())[
            "best"
        ]
        assert loss == pytest.approx(best["loss"], abs=1e-4)
        assert perplexity == pytest.approx(math.exp(best["loss"]), abs=0.01)
        assert bits == pytest.approx(best["bits_per_byte"], abs=1e-3)
