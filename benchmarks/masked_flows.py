"""What the two flows of CRATE-MAE cost: mask tokens in the encoder, or in the decoder alone.

    python -m benchmarks.masked_flows --preset crate-mae-tiny --batch 4

A training step (forward and backward) of both, in turn on the same images.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.records import write_result
from benchmarks.timing import interleave, ratio_row, time_rows
from whitebox_transformers import CrateMAEConfig, CrateMAEForPreTraining


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="crate-mae-base")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads")
    parser.add_argument("--out", type=Path, help="JSON file instead of the recorded one")
    return parser.parse_args()


def step_of(preset: str, pixels: torch.Tensor, noise: torch.Tensor) -> Callable[[], None]:
    """One training step of a preset on these images."""
    torch.manual_seed(0)
    model = CrateMAEForPreTraining(CrateMAEConfig.from_preset(preset)).to(pixels.device).train()

    def step() -> None:
        model.zero_grad()
        model(pixels, noise).loss.backward()

    return step


def main() -> None:
    options = arguments()
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    pixels = torch.randn(options.batch, 3, 224, 224, device=device)
    noise = torch.rand(options.batch, 196, device=device)
    calls = {
        "mask tokens in the encoder": step_of(options.preset, pixels, noise),
        "mask tokens in the decoder": step_of(f"{options.preset}-efficient", pixels, noise),
    }
    times = interleave(calls, options.rounds, device, "flows")
    rows = [
        *time_rows(times, "training"),
        ratio_row("training", "encoder / decoder, step time", *(times[name] for name in calls)),
    ]
    settings = {key: str(value) for key, value in vars(options).items() if key != "out"}
    path = write_result(f"masked_flows_{device.type}", settings, rows, options.out)
    for row in rows:
        print(row)
    print(path)


if __name__ == "__main__":
    main()
