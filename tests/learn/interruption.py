"""Runs that are stopped, and the comparison with one that was not."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import TrainerCallback


class Interrupt(TrainerCallback):
    """Stops training after each of the given steps, once."""

    def __init__(self, steps):
        self.steps = set(steps)

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step in self.steps:
            self.steps.remove(state.global_step)
            raise KeyboardInterrupt


def assert_same_run(folder: Path, whole: Path, last: int = 12) -> None:
    """Last weights, best weights, optimiser and curves are equal bit by bit."""
    for name in ("model.safetensors", f"checkpoints/checkpoint-{last}/model.safetensors"):
        found, expected = load_file(folder / name), load_file(whole / name)
        assert found.keys() == expected.keys()
        for key in expected:
            assert torch.equal(found[key], expected[key]), (name, key)
    name = f"checkpoints/checkpoint-{last}/optimizer.pt"
    states = [torch.load(base / name, weights_only=True)["state"] for base in (folder, whole)]
    for index, state in states[1].items():
        assert all(torch.equal(states[0][index][key], value) for key, value in state.items())
    assert (folder / "metrics.json").read_text() == (whole / "metrics.json").read_text()
