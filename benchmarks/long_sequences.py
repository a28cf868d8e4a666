"""Cost and memory of one layer as the sequence grows: token statistics beside MSSA.

    wbt bench long                                            # CPU, about four minutes
    wbt bench long device=cuda dtype=bfloat16 width=768 heads=12

A layer is compression (MSSA by fused attention, or TSSA) and ISTA. Contenders take turns at every
length. Exponents are least-squares slopes of log seconds, and of log bytes, over log tokens, from
``fit_from`` tokens on: 1 is linear, 2 quadratic. Bytes are the peak of all tensors alive at once
during a call beyond the layer's weights and its input; on a GPU the allocator's.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.memory import peak_bytes
from benchmarks.timing import Timing, interleave, ratio_row, time_rows
from whitebox_transformers.crate import CrateConfig, CrateGPTConfig
from whitebox_transformers.crate.block import CrateLayer

LENGTHS = (1024, 2048, 4096, 8192, 16384, 32768, 65536)
NAMES = {"mssa": "MSSA", "tssa": "TSSA"}


@dataclass(frozen=True)
class Settings:
    """What is measured; every field is a key of the command line."""

    lengths: tuple[int, ...] = LENGTHS
    longest_training: int = 8192
    """Tokens up to which MSSA takes a training step."""
    fit_from: int = 8192
    """Tokens from which on exponents are fitted."""
    width: int = 192
    heads: int = 3
    dtype: str = "float32"
    seconds: float = 2.0
    """To spend on a contender."""
    device: str = "cpu"
    threads: int = 2

    choices = {"dtype": ("float32", "bfloat16")}

    @property
    def record(self) -> str:
        """Name of the file in ``benchmarks/results``."""
        return f"long_sequences_{self.device}"


def layer_of(compression: str, causal: bool, options: Settings) -> CrateLayer:
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


def slope(points: Iterable[tuple[int, float]]) -> float:
    """Least-squares slope of log y over log x."""
    xs, ys = zip(*((math.log(x), math.log(y)) for x, y in points), strict=True)
    x_mean, y_mean = sum(xs) / len(xs), sum(ys) / len(ys)
    rise = sum((x - x_mean) * (y - y_mean) for x, y in zip(xs, ys, strict=True))
    return rise / sum((x - x_mean) ** 2 for x in xs)


def measured(options: Settings, causal: bool, training: bool) -> list[dict]:
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
            size = peak_bytes(calls[name], device)
            rows.append({"mode": mode, "what": f"{name}, peak bytes", "median": size})
            curves.setdefault((name, "bytes"), []).append((length, size))
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


def measure(settings: Settings) -> list[dict]:
    """Rows of both passes, causal and not."""
    rows = []
    for training in (False, True):
        for causal in (False, True):
            rows += measured(settings, causal, training)
    return rows
