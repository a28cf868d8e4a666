"""Checkpoint files for the tests of this folder, and how to look at the result."""

from __future__ import annotations

from pathlib import Path

import torch

from whitebox_transformers.crate import CrateForImageClassification


def save(path: Path, content) -> Path:
    torch.save(content, path)
    return path


def reload(folder: Path) -> CrateForImageClassification:
    model, info = CrateForImageClassification.from_pretrained(folder, output_loading_info=True)
    assert not any(info.values()), info
    return model


def relative_error(found: torch.Tensor, expected: torch.Tensor) -> float:
    assert found.shape == expected.shape
    return ((found - expected).abs().max() / expected.abs().max()).item()
