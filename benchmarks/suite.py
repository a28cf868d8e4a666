"""Every benchmark of speed by its name: what ``wbt bench`` runs, records and checks again."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import torch

from benchmarks import (
    generation_speed,
    inspection_cost,
    loading,
    long_sequences,
    passes,
    products,
    rounding,
    runtimes,
    sweeps,
)
from benchmarks.check import Comparison, compare
from benchmarks.records import RESULTS, read_result, write_result
from benchmarks.settings import Settings, changed, from_stored, stored
from whitebox_transformers.errors import UserError
from whitebox_transformers.training.provenance import hardware

QUIET = 0.1
"""Share of the cores that may be busy without a word."""


@dataclass(frozen=True)
class Benchmark:
    """What is measured, and in how few words."""

    settings: Any
    measure: Callable[[Any], list[dict]]
    title: str


def _passes(system: str, title: str, **sizes: int) -> Benchmark:
    return Benchmark(passes.Settings(system=system, **sizes), passes.measure, title)


BENCHMARKS: dict[str, Benchmark] = {
    "image": _passes("image", "classifier, transcription and ViT: a forward pass, a training step"),
    "mae": _passes("mae", "the same of the masked autoencoder and ViTMAE", batch=4, rounds=5),
    "dino": _passes("dino", "the same of self-distillation and ViT", batch=2, rounds=5),
    "bert": _passes("bert", "the same of the masked language model and BERT", batch=2, rounds=5),
    "gpt": _passes("gpt", "the same of the causal language model and GPT-2", batch=2, rounds=5),
    "generation": Benchmark(
        generation_speed.Settings(), generation_speed.measure, "tokens per second beside GPT-2"
    ),
    "inspection": Benchmark(
        inspection_cost.Settings(), inspection_cost.measure, "what looking inside costs"
    ),
    "loading": Benchmark(
        loading.Settings(), loading.measure, "images per second of the input beside the model's"
    ),
    "products": Benchmark(
        products.Settings(), products.measure, "tokens times matrix by PyTorch's library and here"
    ),
    "rounding": Benchmark(
        rounding.Settings(), rounding.measure, "the score of a run in float32, bfloat16 and int8"
    ),
    "sweeps": Benchmark(
        sweeps.Settings(), sweeps.measure, "cost against tokens, width, depth and batch"
    ),
    "runtimes": Benchmark(
        runtimes.Settings(), runtimes.measure, "eager, torch.export, ONNX Runtime; float32 and int8"
    ),
    "long": Benchmark(
        long_sequences.Settings(), long_sequences.measure, "a layer by MSSA and TSSA to 65,536"
    ),
}


def benchmark(name: str) -> Benchmark:
    """A benchmark by name.

    Raises:
        UserError: There is none.
    """
    if name not in BENCHMARKS:
        raise UserError(f"benchmark {name!r} is not known; choose from {', '.join(BENCHMARKS)}")
    return BENCHMARKS[name]


def record(name: str, pairs: Iterable[str], out: Path | None = None) -> tuple[Path, list[dict]]:
    """Measure and write; returns the file and its rows.

    Raises:
        UserError: Unknown keys or values, or a device that is not there.
    """
    chosen, pairs = benchmark(name), list(pairs)
    settings = changed(chosen.settings, pairs)
    others = busy()
    rows = measured(chosen, settings)
    path = None if out is None else out / f"{settings.record}.json"
    command = shlex.join(["wbt", "bench", name, *pairs])
    machine = {"cpu": torch.backends.cpu.get_cpu_capability(), "busy before": others}
    values = stored(settings) | machine
    return write_result(settings.record, values, rows, path, command), rows


def measured(chosen: Benchmark, settings: Settings) -> list[dict]:
    """Rows of one benchmark.

    Raises:
        UserError: The device is not there.
    """
    check_device(settings.device)
    torch.set_num_threads(settings.threads)
    return chosen.measure(settings)


def check(name: str, pairs: Iterable[str], folder: Path = RESULTS) -> list[Comparison]:
    """Measure again as recorded, and compare ratios.

    Args:
        name: The benchmark.
        pairs: Changes, such as ``device=cuda`` or fewer ``rounds``.
        folder: Where the records lie.

    Raises:
        UserError: Nothing was recorded, or nothing of it can be compared.
    """
    chosen, pairs = benchmark(name), list(pairs)
    asked = changed(chosen.settings, pairs)
    before = read_result(asked.record, folder)
    if before is None:
        raise UserError(
            f"{asked.record}.json is not in {folder}; record it first: wbt bench {name}"
        )
    settings = changed(from_stored(chosen.settings, before["settings"]), pairs)
    found = compare(before["rows"], measured(chosen, settings))
    if not found:
        raise UserError(
            f"{asked.record}.json holds no ratio that was measured again; record it anew: "
            f"wbt bench {name}"
        )
    return found


def recorded(folder: Path = RESULTS) -> list[str]:
    """Names of the benchmarks with a record on the CPU."""
    return [
        name
        for name, one in BENCHMARKS.items()
        if read_result(one.settings.record, folder) is not None
    ]


def busy() -> float:
    """Share of all cores that others keep busy just now."""
    return round(psutil.cpu_percent(interval=0.5) / 100, 2)


def doubts(share: float, name: str | None = None) -> list[str]:
    """What makes timings doubtful, or other than those of the record: a line each.

    Args:
        share: From :func:`busy`, before anything was measured.
        name: A benchmark whose record is compared with.
    """
    said = []
    if share > QUIET:
        said.append(f"{share:.0%} of the cores were busy with other work: repeat it when they rest")
    before = None if name is None else read_result(benchmark(name).settings.record)
    here = hardware()["processor"]
    if before is not None and before["hardware"]["processor"] != here:
        recorded_on = before["hardware"]["processor"]
        said.append(f"{name} was recorded on {recorded_on}, this is {here}: ratios may differ")
    return said


def check_device(name: str) -> None:
    """Refuse a device that is not there, by name.

    Raises:
        UserError: With what there is.
    """
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        there = ["cpu"] + (["cuda"] if torch.cuda.is_available() else [])
        raise UserError(f"device={name} is not there; choose from {', '.join(there)}") from error
