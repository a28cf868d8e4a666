"""Cost and memory of one layer as the sequence grows: token statistics beside MSSA.

    python -m benchmarks.long_sequences                       # CPU, about four minutes
    python -m benchmarks.long_sequences --device cuda --dtype bfloat16 --width 768 --heads 12

A layer is compression (MSSA by fused attention, or TSSA) and ISTA. Contenders take turns at every
length. Exponents are least-squares slopes of log seconds, and of log bytes, over log tokens, from
``--fit-from`` tokens on: 1 is linear, 2 quadratic. Bytes are the peak of all tensors alive at once
during a call beyond the layer's weights and its input, counted as they are made and let go; scratch
inside one operation is not seen on a CPU, and is on a GPU, where the allocator's peak is given too.
"""

from __future__ import annotations

import argparse
import math
import time
import weakref
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from benchmarks.records import write_result
from benchmarks.timing import Timing, interleave, ratio_row, time_rows
from whitebox_transformers.crate import CrateConfig, CrateGPTConfig
from whitebox_transformers.crate.block import CrateLayer

LENGTHS = [1024, 2048, 4096, 8192, 16384, 32768, 65536]
NAMES = {"mssa": "MSSA", "tssa": "TSSA"}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lengths", type=int, nargs="+", default=LENGTHS)
    parser.add_argument("--longest-training", type=int, default=8192, help="of MSSA, in tokens")
    parser.add_argument("--fit-from", type=int, default=8192, help="tokens")
    parser.add_argument("--width", type=int, default=192)
    parser.add_argument("--heads", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads")
    parser.add_argument("--seconds", type=float, default=2.0, help="to spend on a contender")
    parser.add_argument("--out", type=Path, help="JSON file instead of the recorded one")
    return parser.parse_args()


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of tensors made inside that are alive, and their peak."""

    def __init__(self) -> None:
        super().__init__()
        self.live, self.peak = 0, 0
        self.known: set[int] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        given = {t.untyped_storage().data_ptr() for t in _tensors((args, kwargs))}
        result = func(*args, **(kwargs or {}))
        for tensor in _tensors(result):
            storage = tensor.untyped_storage()
            key = storage.data_ptr()
            if key not in given and key not in self.known and storage.nbytes():
                self.known.add(key)
                self.live += storage.nbytes()
                weakref.finalize(storage, self._gone, key, storage.nbytes())
        self.peak = max(self.peak, self.live)
        return result

    def _gone(self, key: int, size: int) -> None:
        self.known.discard(key)
        self.live -= size


def _tensors(tree: object) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def layer_of(compression: str, causal: bool, options: argparse.Namespace) -> CrateLayer:
    """One layer with random weights."""
    torch.manual_seed(0)
    family = CrateGPTConfig if causal else CrateConfig
    config = family(
        hidden_size=options.width, num_attention_heads=options.heads, compression=compression
    )
    config._attn_implementation = "sdpa"
    return CrateLayer(config).to(options.device, getattr(torch, options.dtype))


def call_of(layer: CrateLayer, z: Tensor, training: bool) -> Callable[[], object]:
    """One forward pass, or one with the gradients of weights and tokens."""

    def forward() -> object:
        with torch.inference_mode():
            return layer(z)

    def step() -> None:
        layer.zero_grad(set_to_none=True)
        tokens = z.detach().requires_grad_()
        layer(tokens).sum().backward()

    return step if training else forward


def peak_bytes(call: Callable[[], object], device: torch.device) -> dict[str, int]:
    """Peak bytes of live tensors during a call, and the allocator's on a GPU."""
    before = 0
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
    with LiveBytes() as counted:
        call()
    found = {"bytes": counted.peak}
    if device.type == "cuda":
        found["bytes, allocator"] = torch.cuda.max_memory_allocated(device) - before
    return found


def slope(points: Iterable[tuple[int, float]]) -> float:
    """Least-squares slope of log y over log x."""
    xs, ys = zip(*((math.log(x), math.log(y)) for x, y in points), strict=True)
    x_mean, y_mean = sum(xs) / len(xs), sum(ys) / len(ys)
    rise = sum((x - x_mean) * (y - y_mean) for x, y in zip(xs, ys, strict=True))
    return rise / sum((x - x_mean) ** 2 for x in xs)


def measured(options: argparse.Namespace, causal: bool, training: bool) -> list[dict]:
    """Rows of both layers at every length, their ratios, and the exponents."""
    device = torch.device(options.device)
    layers = {key: layer_of(key, causal, options) for key in NAMES}
    passes = "forward and backward" if training else "forward"
    form = f"{passes}, {'causal' if causal else 'bidirectional'}"
    rows: list[dict] = []
    curves: dict[tuple[str, str], list[tuple[int, float]]] = {}
    for length in options.lengths:
        mode = f"{form}, {length} tokens"
        z = torch.randn(1, length, options.width).to(device, getattr(torch, options.dtype))
        calls, first = {}, {}
        for key, name in NAMES.items():
            if key == "mssa" and training and length > options.longest_training:
                continue
            calls[name] = call_of(layers[key], z, training)
            start = time.perf_counter()  # the first call warms up too
            for what, size in peak_bytes(calls[name], device).items():
                rows.append({"mode": mode, "what": f"{name}, peak {what}", "median": size})
                curves.setdefault((name, what), []).append((length, size))
            first[name] = Timing([time.perf_counter() - start])
        rounds = min(9, int(options.seconds / max(timing.median for timing in first.values())))
        # A call that takes longer than there is time for is not made again.
        times = interleave(calls, rounds, device, mode, warmup=0) if rounds else first
        rows += time_rows(times, mode)
        if len(times) == len(NAMES):
            rows.append(ratio_row(mode, "MSSA / TSSA", times["MSSA"], times["TSSA"]))
        for name, timing in times.items():
            curves.setdefault((name, "seconds"), []).append((length, timing.minimum))
    for (name, what), points in curves.items():
        fitted = [point for point in points if point[0] >= options.fit_from]
        if len(fitted) > 1:
            exponent = {"mode": form, "what": f"{name}, exponent of {what} in tokens"}
            rows.append(exponent | {"median": round(slope(fitted), 3)})
    return rows


def main() -> None:
    options = arguments()
    torch.set_num_threads(options.threads)
    rows = []
    for training in (False, True):
        for causal in (False, True):
            rows += measured(options, causal, training)
    settings = {key: str(value) for key, value in vars(options).items() if key != "out"}
    if options.device == "cpu":
        settings["cpu"] = torch.backends.cpu.get_cpu_capability()
    kind = torch.device(options.device).type
    path = write_result(f"long_sequences_{kind}", settings, rows, options.out)
    for row in rows:
        print(row)
    print(path)


if __name__ == "__main__":
    main()
