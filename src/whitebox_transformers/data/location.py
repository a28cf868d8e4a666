"""Paths in recipes."""

from __future__ import annotations

import os
import re
from pathlib import Path

from whitebox_transformers.errors import UserError


def expand(path: str | None) -> str:
    """``data.path`` with ``~`` and ``${VARIABLE}`` replaced; empty if there is none.

    Raises:
        UserError: A variable is not set.
    """

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if not os.environ.get(name):
            raise UserError(
                f"data.path={path} needs the environment variable {name}, which is not set; "
                f"set it or give another data.path"
            )
        return os.environ[name]

    return os.path.expanduser(re.sub(r"\$(?:\{(\w+)\}|(\w+))", value, path or ""))


def existing_folder(path: str | None) -> Path:
    """The folder that ``data.path`` names.

    Raises:
        UserError: It does not exist or is no folder.
    """
    folder = Path(expand(path))
    if not folder.exists():
        raise UserError(f"data.path={path}: {folder} does not exist")
    if not folder.is_dir():
        raise UserError(f"data.path={path}: {folder} is a file; a folder is expected")
    return folder


def is_folder_here(path: str | None) -> bool:
    """Whether ``data.path`` names a folder on this machine."""
    try:
        return Path(expand(path)).is_dir()
    except UserError:
        return False
