"""What a conversion decided, and from what."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple


class Decision(NamedTuple):
    """One setting of the converted model and where it comes from."""

    name: str
    value: Any
    origin: str

    def __str__(self) -> str:
        return f"{self.name} = {self.value}  ({self.origin})"


@dataclass(frozen=True)
class ConversionReport:
    """Result of `convert`; ``str(report)`` is what the command line prints.

    Attributes:
        source: The file read.
        out: The folder written.
        layout: Name of the recognised layout.
        auto_class: The class of transformers that loads the folder.
        decisions: Settings of the model, each with its origin.
        used: Name in the file -> name in the folder.
        dropped: Name in the file -> why the model has no place for it.
        ignored: Entries of the file beside the weights.
        notes: Anything else worth knowing.
        parameters: Number of weights written.
        dtype: Their type, e.g. ``"float32"``.
    """

    source: Path
    out: Path
    layout: str
    auto_class: str
    decisions: tuple[Decision, ...]
    used: dict[str, str]
    dropped: dict[str, str]
    ignored: tuple[str, ...]
    notes: tuple[str, ...]
    parameters: int
    dtype: str

    def __str__(self) -> str:
        lines = [f"{self.source}: {self.layout}", *(f"  {decision}" for decision in self.decisions)]
        lines.append(f"  {len(self.used)} weights used, {self.parameters:,} numbers, {self.dtype}")
        lines += [f"  dropped {key}: {reason}" for key, reason in self.dropped.items()]
        if self.ignored:
            lines.append(f"  ignored beside the weights: {', '.join(self.ignored)}")
        lines += [f"  note: {note}" for note in self.notes]
        return "\n".join([*lines, f"wrote {self.out}"])
