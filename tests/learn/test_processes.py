"""Several processes that share a batch do what one process does with all of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.learn.ranks import together
from tests.learn.recipe_kinds import recipe_kinds, write_data

from whitebox_transformers.training.run import train

pytestmark = pytest.mark.learn


def train_all(data: Path, out: Path) -> None:
    for name, recipe in recipe_kinds(data).items():
        train(recipe, out / name)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Every kind of recipe carried out by one process and by two."""
    base = tmp_path_factory.mktemp("processes")
    data = write_data(base / "data")
    train_all(data, base / "one")
    assert together(train_all, data, base / "two") == [0, 0]
    return base


@pytest.mark.parametrize("kind", recipe_kinds(Path("data")))
def test_two_processes_learn_what_one_learns(runs, kind):
    one, two = (json.loads((runs / n / kind / "metrics.json").read_text()) for n in ("one", "two"))
    losses = [[entry["loss"] for entry in metrics["train"]] for metrics in (one, two)]
    assert len(losses[0]) == 6
    torch.testing.assert_close(losses[1], losses[0], rtol=0, atol=2e-6)
    first, second = (load_file(runs / n / kind / "model.safetensors") for n in ("one", "two"))
    assert first.keys() == second.keys()
    for name, value in first.items():
        # Adam divides by the size of a gradient, however near to rounding it is.
        torch.testing.assert_close(second[name], value, rtol=0, atol=1e-3, msg=name)
    # Counts are those of the whole split: every sample once, though none divides by two.
    for split in ("best", "test"):
        assert one[split].keys() == two[split].keys()
        for key, value in one[split].items():
            if isinstance(value, int):
                assert two[split][key] == value, key
            elif isinstance(value, float):
                assert two[split][key] == pytest.approx(value, rel=1e-4, abs=1e-5), key
