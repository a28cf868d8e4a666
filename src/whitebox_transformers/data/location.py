"""Paths in recipes."""

from __future__ import annotations

import os
import re
from pathlib import Path

from whitebox_transformers.errors import UserError


def expand(path: str, key: str = "data.path") -> str:
    """Replace ``~`` and ``${VARIABLE}``.

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

    return os.path.expanduser(re.sub(r"\$(?:\{(\w+)\}|(\w+))", value, path))


def existing_folder(path: str, key: str = "data.path") -> Path:
    """The folder that a recipe names.

    Raises:
        UserError: It does not exist or is no folder.
    """
    folder = Path(expand(path, key))
    if not folder.exists():
        raise UserError(f"{key}={path}: {folder} does not exist")
    if not folder.is_dir():
        raise UserError(f"{key}={path}: {folder} is a file; a folder is expected")
    return folder
