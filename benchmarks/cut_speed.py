"""How long a normalised cut takes: Lanczos beside a full decomposition, and whether they agree.

    python -m benchmarks.cut_speed

A typical graph is an object on a background that changes slowly. Hard ones have eigenvalues close
together: patches that resemble each other by chance, patches of which nearly all resemble no
other, and patches in a row of which each resembles its neighbours. LAPACK, which takes many seconds
for 3600 nodes, is asked once a graph.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks.records import write_result
from benchmarks.timing import Timing, interleave
from whitebox_transformers.segmentation import affinity, bipartition, second_eigenvector

WIDTH = 64


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=60, help="patches along a side of the grid")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2, help="CPU threads")
    parser.add_argument("--out", type=Path, help="JSON file instead of the recorded one")
    return parser.parse_args()


def graphs(side: int, seed: int) -> dict[str, np.ndarray]:
    """Weights (n, n) of side x side patches, by what they are of."""
    rng = np.random.default_rng(seed)
    n = side * side
    y, x = (axis.ravel() / side for axis in np.mgrid[:side, :side])
    noise = rng.standard_normal((n, WIDTH))
    scene, inside = noise.copy(), (x - 0.5) ** 2 + (y - 0.4) ** 2 < 0.05
    scene[inside, :8] += 2
    scene[~inside, 8:16] += 1 + x[~inside, None]
    angle = 2.5 * np.arange(n) / n
    row = np.stack([np.cos(angle), np.sin(angle)], -1)
    return {
        "typical: an object on a background": affinity(scene, 0.2),
        "hard: alike by chance, half of all pairs": affinity(noise + 1, 0.5),
        "hard: alike by chance, few pairs": affinity(noise, 0.2),
        "hard: nearly all alone": affinity(noise, 0.45),
        "hard: in a row": affinity(row, float(np.cos(40 * 2.5 / n))),
    }


def by_lapack(weights: np.ndarray) -> np.ndarray:
    """The second eigenvector of (D - A) v = mu D v by ``scipy.linalg.eigh``."""
    from scipy.linalg import eigh

    degrees = np.diag(weights.sum(1))
    return eigh(degrees - weights, degrees, subset_by_index=[1, 1])[1][:, 0]


def differing(v: np.ndarray, reference: np.ndarray) -> int:
    """Nodes that the two put into different parts, whichever part is called the first."""
    other = int(np.count_nonzero(bipartition(v) != bipartition(reference)))
    return min(other, len(v) - other)


def row(what: str, weights: np.ndarray, timing: Timing) -> dict:
    start = time.perf_counter()
    reference = by_lapack(weights)
    lapack = time.perf_counter() - start
    found = second_eigenvector(weights)
    assert found is not None
    return {
        "what": what,
        "nodes": len(weights),
        "share of pairs alike": round(float((weights == 1).mean()), 4),
        "median": timing.median,
        "minimum": timing.minimum,
        "LAPACK, seconds": lapack,
        "LAPACK / median": round(lapack / timing.median, 1),
        "nodes in another part": differing(found, reference),
    }


def main() -> None:
    options = arguments()
    torch.set_num_threads(options.threads)
    found = graphs(options.side, options.seed)
    calls = {
        what: lambda weights=weights: second_eigenvector(weights) for what, weights in found.items()
    }
    times = interleave(calls, options.rounds, torch.device("cpu"), "cuts", warmup=1)
    rows = []
    for what, weights in found.items():
        rows.append(row(what, weights, times[what]))
        print(rows[-1], flush=True)
    settings = {key: str(value) for key, value in vars(options).items() if key != "out"}
    print(write_result("cut_speed_cpu", settings, rows, options.out))


if __name__ == "__main__":
    main()
