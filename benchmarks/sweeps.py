"""Cost against tokens, width, depth and batch: one of them at a time, around a small model.

    wbt bench sweeps
    wbt bench sweeps system=gpt device=cuda

Every point is a run of :mod:`benchmarks.passes`; `docs/cost_curves.py` draws them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

from benchmarks import passes
from benchmarks.systems import SYSTEMS

HEAD = 48
"""Width of a head, the same at every width."""


@dataclass(frozen=True)
class Settings:
    """What is measured; every field is a key of the command line."""

    system: str = "image"
    width: int = 192
    depth: int = 4
    side: int = 14
    length: int = 196
    batch: int = 4
    widths: tuple[int, ...] = (96, 192, 384, 768)
    depths: tuple[int, ...] = (2, 4, 8, 16)
    sides: tuple[int, ...] = (7, 14, 20, 28)
    lengths: tuple[int, ...] = (64, 196, 400, 784)
    batches: tuple[int, ...] = (1, 4, 8, 16)
    passes: tuple[str, ...] = passes.PASSES
    dtypes: tuple[str, ...] = ("float32",)
    rounds: int = 5
    device: str = "cpu"
    threads: int = 2

    choices = {"system": tuple(SYSTEMS)} | {
        key: passes.Settings.choices[key] for key in ("passes", "dtypes")
    }

    @property
    def record(self) -> str:
        """Name of the file in ``benchmarks/results``."""
        return f"sweeps_{self.system}_{self.device}"


def points(settings: Settings) -> Iterator[tuple[str, int, passes.Settings]]:
    """Axis, place on it, and what is measured there."""
    text = settings.system in ("bert", "gpt")
    axes = {
        "tokens": ("length", settings.lengths) if text else ("side", settings.sides),
        "width": ("width", settings.widths),
        "depth": ("depth", settings.depths),
        "batch": ("batch", settings.batches),
    }
    for axis, (key, values) in axes.items():
        for value in values:
            own = {name: getattr(settings, name) for name in OWN} | {key: value}
            place = value**2 + 1 if key == "side" else value
            yield axis, place, passes.Settings(**own, heads=max(1, own["width"] // HEAD))


OWN = {field.name for field in fields(Settings)} & {field.name for field in fields(passes.Settings)}


def measure(settings: Settings) -> list[dict]:
    """The rows of every point, each with its axis and its place on it."""
    rows = []
    for axis, place, point in points(settings):
        for row in passes.measure(point):
            where = {"axis": axis, "at": place}
            rows.append(row | {"mode": f"{axis} {place}, {row['mode']}"} | where)
    return rows
