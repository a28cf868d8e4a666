"""Paths in recipes, and the files below them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from whitebox_transformers.errors import UserError


def expand(path: str | None, key: str = "data.path") -> str:
    """A path with ``~`` and ``${VARIABLE}`` replaced; empty if there is none.

    Args:
        path: As the recipe gives it.
        key: Where the recipe gives it.

    Raises:
        UserError: A variable is not set.
    """

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if not os.environ.get(name):
            raise UserError(
                f"{key}={path} needs the environment variable {name}, which is not set; "
                f"set it or give another {key}"
            )
        return os.environ[name]

    return os.path.expanduser(re.sub(r"\$(?:\{(\w+)\}|(\w+))", value, path or ""))


def existing_folder(path: str | None, key: str = "data.path") -> Path:
    """The folder that a path of the recipe names; arguments as of :func:`expand`.

    Raises:
        UserError: It does not exist or is no folder.
    """
    folder = Path(expand(path, key))
    if not folder.exists():
        raise UserError(f"{key}={path}: {folder} does not exist")
    if not folder.is_dir():
        raise UserError(f"{key}={path}: {folder} is a file; a folder is expected")
    return folder


def is_folder_here(path: str | None) -> bool:
    """Whether ``data.path`` names a folder on this machine."""
    try:
        return Path(expand(path)).is_dir()
    except UserError:
        return False


def files_below(folder: Path) -> Iterator[Path]:
    """All files in sorted order, hidden ones and what file managers leave behind excepted."""
    for directory, sub_folders, files in os.walk(folder, followlinks=True):
        sub_folders[:] = sorted(name for name in sub_folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith(".") and name.lower() not in ("thumbs.db", "desktop.ini"):
                yield Path(directory, name)
