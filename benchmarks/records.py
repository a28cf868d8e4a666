"""Results as data: one JSON file a benchmark, with what is needed to doubt or repeat it."""

from __future__ import annotations

import json
import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from whitebox_transformers.training.provenance import provenance

RESULTS = Path(__file__).parent / "results"


def write_result(
    name: str,
    settings: dict,
    rows: list[dict],
    out: Path | None = None,
    command: str | None = None,
    **details: object,
) -> Path:
    """Write ``NAME.json`` whole: command, commit, versions, hardware, settings, flat rows, details.

    The rows are the table that the documentation shows; details are for whoever looks closer.
    """
    record = provenance() | {
        "command": command or _module_command(),
        "date": datetime.now(UTC).date().isoformat(),
        "settings": settings,
        "rows": rows,
        **details,
    }
    path = out or RESULTS / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(record, indent=1) + "\n")
    part.replace(path)
    return path


def read_result(name: str, folder: Path = RESULTS) -> dict[str, Any] | None:
    """What was recorded last under a name; ``None`` if nothing was."""
    path = folder / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def _module_command() -> str:
    return shlex.join(["python", "-m", f"benchmarks.{Path(sys.argv[0]).stem}"] + sys.argv[1:])
