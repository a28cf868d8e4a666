"""Where a number comes from: command, code, libraries, machine."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

PACKAGES = (
    "whitebox-transformers",
    "torch",
    "transformers",
    "accelerate",
    "datasets",
    "torchvision",
    "numpy",
)


def provenance() -> dict[str, Any]:
    """Plain values for ``run.json`` and model cards."""
    return {
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "python": platform.python_version(),
        "versions": _versions(),
        "git": git_commit(Path(__file__).parent),
        "hardware": hardware(),
    }


def hardware() -> dict[str, Any]:
    """Processor, cores and threads, and the accelerator if there is one."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def git_commit(folder: Path) -> str | None:
    """Commit of the checkout that holds ``folder``, with ``+changes`` if it is not clean.

    ``None`` without git, or if git does not track the folder (an installed package may lie inside
    a virtual environment inside somebody else's repository).
    """
    if _git(folder, "ls-files", "--error-unmatch", "provenance.py") is None:
        return None
    commit = _git(folder, "rev-parse", "HEAD")
    return f"{commit}+changes" if _git(folder, "status", "--porcelain", "-uno") else commit


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    listing = Path("/proc/cpuinfo")
    if listing.is_file():
        for line in listing.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()
