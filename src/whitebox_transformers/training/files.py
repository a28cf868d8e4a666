"""Files that exist whole or not at all, whenever the process dies."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

NOTES = "notes"


def write_whole(path: Path, write: Callable[[Path], Any]) -> None:
    """Let ``write`` fill a temporary file beside ``path``, then put it in place at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        write(temporary)
        os.replace(temporary, path)
    except BaseException:
        # On a full disk what is half written takes the room that others need.
        temporary.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text whole."""
    write_whole(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Write plain values whole, indented for people."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def read_json(path: Path) -> Any:
    """Plain values of a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def write_weights(path: Path, model: torch.nn.Module, **metadata: Any) -> None:
    """Write all parameters and persistent buffers as safetensors, with metadata beside them.

    A tensor that has several names, such as a tied embedding, is written once.
    """
    notes = _notes(metadata)
    write_whole(path, lambda temporary: safetensors.torch.save_model(model, str(temporary), notes))


def write_tensors(path: Path, tensors: dict[str, torch.Tensor], **metadata: Any) -> None:
    """The same of tensors by the names that they have in a model, each once."""
    notes = _notes(metadata)
    write_whole(path, lambda temporary: safetensors.torch.save_file(tensors, temporary, notes))


def _notes(metadata: dict[str, Any]) -> dict[str, str]:
    return {"format": "pt", NOTES: json.dumps(metadata)}


def read_weights(path: Path, model: torch.nn.Module) -> dict[str, Any]:
    """Load weights written by :func:`write_weights` into ``model``; returns their metadata."""
    safetensors.torch.load_model(model, path)
    return read_metadata(path)


def read_metadata(path: Path) -> dict[str, Any]:
    """Metadata given to :func:`write_weights`."""
    with safetensors.safe_open(path, framework="pt") as file:
        return json.loads(file.metadata()[NOTES])
