"""Trains a tiny run in the folder given and kills its own process at a given place.

The run is that of a recipe file, or ``tiny_run``'s if none is given. Places: ``step N`` (after step
N), ``save N`` (inside the checkpoint of step N, half written).
"""

import os
import signal
import sys
from pathlib import Path

import torch
from tests.learn.tiny_run import tiny_recipe
from transformers import Trainer, TrainerCallback

from whitebox_transformers.training.recipe import load_recipe
from whitebox_transformers.training.run import train


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class DieAfterStep(TrainerCallback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == self.step:
            die()


def die_while_saving(step: int) -> None:
    save = Trainer._save_optimizer_and_scheduler

    def half(self, output_dir):
        if self.state.global_step == step:
            Path(output_dir, "optimizer.pt").write_bytes(b"half")
            die()
        save(self, output_dir)

    Trainer._save_optimizer_and_scheduler = half


if __name__ == "__main__":
    torch.set_num_threads(1)
    folder, place, step = sys.argv[1], sys.argv[2], int(sys.argv[3])
    callbacks: list[TrainerCallback] = []
    if place == "save":
        die_while_saving(step)
    else:
        callbacks.append(DieAfterStep(step))
    recipe = load_recipe(sys.argv[4]) if len(sys.argv) > 4 else tiny_recipe()
    train(recipe, folder, callbacks)
