"""What looking inside costs: layer-wise measurement against the plain forward pass.

    python -m benchmarks.inspection_cost

Both cheap and full measurement are timed in turn with the unfolded forward pass of the same
model on the same batch.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from benchmarks.records import write_result
from benchmarks.timing import interleave, ratio_row, time_rows
from whitebox_transformers import CrateConfig, CrateForImageClassification
from whitebox_transformers.analysis.layerwise import measure
from whitebox_transformers.analysis.measures import CHEAP


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="crate-base")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads")
    parser.add_argument("--out", type=Path, help="JSON file instead of the recorded one")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    torch.manual_seed(0)
    config = CrateConfig.from_preset(options.preset)
    model = CrateForImageClassification(config).to(device).eval()
    size = config.image_size
    pixels = torch.randn(options.batch, 3, size, size, device=device)
    calls = {
        "forward": lambda: model(pixels),
        "published at Z^l and non-zero share": lambda: measure(model, [pixels], CHEAP),
        "everything": lambda: measure(model, [pixels]),
    }
    with torch.inference_mode():
        times = interleave(calls, options.rounds, device, "inspection")
    rows = time_rows(times, "eager") + [
        ratio_row("eager", f"{name} / forward", times[name], times["forward"])
        for name in list(calls)[1:]
    ]
    settings = {key: str(value) for key, value in vars(options).items() if key != "out"}
    path = write_result(f"inspection_cost_{device.type}", settings, rows, options.out)
    for row in rows:
        print(row)
    print(path)


if __name__ == "__main__":
    main()
