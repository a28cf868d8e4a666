"""What looking inside costs: layer-wise measurement against the plain forward pass.

    wbt bench inspection

Both cheap and full measurement are timed in turn with the unfolded forward pass of the same
model on the same batch; of a classifier, or of a causal language model.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from benchmarks.systems import Size, pair
from benchmarks.timing import interleave, ratio_row, time_rows
from whitebox_transformers.analysis.layerwise import measure as measure_layers
from whitebox_transformers.analysis.measures import CHEAP


@dataclass(frozen=True)
class Settings:
    """What is measured; every field is a key of the command line."""

    systems: tuple[str, ...] = ("image",)
    width: int = 768
    depth: int = 12
    heads: int = 12
    side: int = 14
    length: int = 256
    batch: int = 8
    rounds: int = 9
    device: str = "cpu"
    threads: int = 2

    choices = {"systems": ("image", "bert", "gpt")}

    @property
    def record(self) -> str:
        """Name of the file in ``benchmarks/results``."""
        return f"inspection_cost_{self.device}"


def measure(settings: Settings) -> list[dict]:
    """Rows of every system."""
    size, device = Size.of(settings), settings.device
    rows = []
    for system in settings.systems:
        found = pair(system, size, torch.device(device))
        inputs, model = found.inputs, found.white
        calls = {
            "forward": lambda model=model, inputs=inputs: model(**inputs),
            "published at Z^l and non-zero share": (
                lambda model=model, inputs=inputs: measure_layers(model, [inputs], CHEAP)
            ),
            "everything": lambda model=model, inputs=inputs: measure_layers(model, [inputs]),
        }
        with torch.inference_mode():
            times = interleave(calls, settings.rounds, torch.device(device), f"inspect {system}")
        mode = f"eager {system}"
        rows += time_rows(times, mode) + [
            ratio_row(mode, f"{name} / forward", times[name], times["forward"], "lower")
            for name in list(calls)[1:]
        ]
    return rows
