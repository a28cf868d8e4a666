"""Timing that survives a noisy machine: contenders take turns, and only ratios are quoted."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from tqdm import trange


@dataclass(frozen=True)
class Timing:
    """Seconds per call of one contender, in the order of the rounds."""

    seconds: list[float]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def minimum(self) -> float:
        return min(self.seconds)

    def __mul__(self, factor: float) -> Timing:
        return Timing([seconds * factor for seconds in self.seconds])


def interleave(
    contenders: Mapping[str, Callable[[], object]],
    rounds: int,
    device: torch.device,
    title: str,
    warmup: int = 2,
) -> dict[str, Timing]:
    """Call every contender once a round, so that drift of the machine meets all alike.

    Args:
        contenders: What to time, by name.
        rounds: Rounds that count.
        device: Waited for before and after each call.
        title: Shown with the progress.
        warmup: Rounds before, which do not count.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for current in trange(-warmup, rounds, desc=title, leave=False):
        for name, call in contenders.items():
            _wait(device)
            start = time.perf_counter()
            call()
            _wait(device)
            if current >= 0:
                seconds[name].append(time.perf_counter() - start)
    return {name: Timing(values) for name, values in seconds.items()}


def time_rows(
    times: Mapping[str, Timing], mode: str, more: Mapping[str, Mapping[str, Any]] | None = None
) -> list[dict]:
    """A row per contender: median and minimum seconds, and what else is known of it."""
    return [
        {"mode": mode, "what": f"{name}, seconds", "median": t.median, "minimum": t.minimum}
        | dict((more or {}).get(name, {}))
        for name, t in times.items()
    ]


def ratio_row(mode: str, what: str, slow: Timing, fast: Timing, better: str = "higher") -> dict:
    """How many times faster: of medians, of minima, and the median of ratios round by round.

    ``better`` says which way is good, ``higher`` or ``lower``: rows that have it are compared by
    ``wbt bench --check``.
    """
    paired = [a / b for a, b in zip(slow.seconds, fast.seconds, strict=True)]
    return {
        "mode": mode,
        "what": what,
        "median": round(slow.median / fast.median, 3),
        "minimum": round(slow.minimum / fast.minimum, 3),
        "paired median": round(statistics.median(paired), 3),
        "better": better,
    }


def exact_ratio_row(mode: str, what: str, ratio: float, better: str = "higher") -> dict:
    """A ratio that does not depend on the clock, of bytes for instance."""
    return {"mode": mode, "what": what, "median": round(ratio, 4), "better": better}


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
