"""One folded classifier in several runtimes: eager, torch.export, compiled, ONNX Runtime.

    wbt bench runtimes

What each says is compared with the unfolded model on the same images first: the largest difference
over the largest score.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

from benchmarks.machine import computes_in
from benchmarks.systems import Size, pair
from benchmarks.timing import interleave, ratio_row, time_rows
from whitebox_transformers import fold, quantize
from whitebox_transformers.export.onnx import export_onnx

RUNTIMES = ("eager", "export", "compiled", "onnx")


@dataclass(frozen=True)
class Settings:
    """What is measured; every field is a key of the command line."""

    width: int = 768
    depth: int = 12
    heads: int = 12
    side: int = 14
    batch: int = 8
    runtimes: tuple[str, ...] = ("eager", "export", "onnx")
    rounds: int = 7
    device: str = "cpu"
    threads: int = 2

    choices = {"runtimes": RUNTIMES}

    @property
    def record(self) -> str:
        """Name of the file in ``benchmarks/results``."""
        return f"runtimes_{self.device}"


class Scores(nn.Module):
    """Logits alone, since a graph has no classes of outputs."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, pixel_values: Tensor) -> Tensor:
        return self.model(pixel_values).logits


@torch.inference_mode()
def measure(settings: Settings) -> list[dict]:
    """Seconds of a forward pass, ratios to eager float32, and errors."""
    device = torch.device(settings.device)
    found = pair("image", Size.of(settings), device)
    pixels = found.inputs["pixel_values"]
    reference = found.white(pixels).logits.float().cpu()
    with tempfile.TemporaryDirectory() as place:
        calls = contenders(settings, found.white, pixels, Path(place))
        errors = {}
        for name, call in calls.items():
            error = (torch.as_tensor(call()).float().cpu() - reference).abs().max()
            errors[name] = {"relative error": float(error / reference.abs().max())}
        times = interleave(calls, settings.rounds, device, "runtimes")
    first = next(iter(calls))
    return time_rows(times, "folded", errors) + [
        ratio_row("folded", f"{first} / {name}", times[first], timing)
        for name, timing in times.items()
        if name != first
    ]


def contenders(
    settings: Settings, model: nn.Module, pixels: Tensor, place: Path
) -> dict[str, Callable[[], Tensor | np.ndarray]]:
    """The calls of all runtimes that are asked for, by name; eager float32 is the first."""
    folded = Scores(fold(model)).eval()
    calls: dict[str, Callable[[], Tensor | np.ndarray]] = {"eager float32": lambda: folded(pixels)}
    if computes_in("bfloat16", pixels.device):
        half = Scores(fold(model, dtype=torch.bfloat16)).eval()
        calls["eager bfloat16"] = lambda: half(pixels.bfloat16())
    if pixels.device.type == "cpu":
        integers = Scores(quantize(model)).eval()
        calls["eager int8"] = lambda: integers(pixels)
    if "export" in settings.runtimes:
        with torch.inference_mode(False), torch.no_grad():
            exported = torch.export.export(folded, (pixels.clone(),)).module()
        calls["torch.export float32"] = lambda: exported(pixels)
    if "compiled" in settings.runtimes:
        compiled = torch.compile(folded)
        calls["compiled float32"] = lambda: compiled(pixels)
    if "onnx" in settings.runtimes and pixels.device.type == "cpu":
        for dtype, int8 in (("float32", False), ("int8", True)):
            with torch.inference_mode(False):
                export_onnx(model, place / f"{dtype}.onnx", int8=int8)
            calls[f"ONNX Runtime {dtype}"] = onnx_call(
                place / f"{dtype}.onnx", pixels.numpy(), settings.threads
            )
    return calls


def onnx_call(path: Path, pixels: np.ndarray, threads: int) -> Callable[[], np.ndarray]:
    """A forward pass of an ONNX file on the CPU."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda: session.run(["logits"], {"pixel_values": pixels})[0]
