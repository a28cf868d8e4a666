"""The source code of the Python standard library: text that every user has."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

from whitebox_transformers.data.location import files_below
from whitebox_transformers.data.seeding import seed_of
from whitebox_transformers.data.text.config import TextDataConfig
from whitebox_transformers.data.text.documents import DocumentSource
from whitebox_transformers.data.text.files import TextFiles
from whitebox_transformers.errors import UserError

# Tests are half of the library; encodings and topics are tables; the rest is gone in later
# versions, is a program beside the library, or was installed by somebody else.
LEFT_OUT = frozenset(
    ("test", "tests", "idle_test", "idlelib", "lib2to3", "distutils", "turtledemo")
    + ("encodings", "pydoc_data", "site-packages", "dist-packages", "__pycache__")
)
LARGEST = 512 * 1024


def open_stdlib(data: TextDataConfig) -> dict[str, DocumentSource]:
    """One training source, to be carved by the files' paths.

    The order is that of a hash of the paths: the same on every machine, and the beginning is a
    fair sample of the whole.

    Raises:
        UserError: This Python has no library in source form.
    """
    root = Path(sysconfig.get_path("stdlib"))
    paths = [path for path in files_below(root) if _belongs(path.relative_to(root), path)]
    if not paths:
        raise UserError(
            f"data.source=stdlib: {root} holds no source code of Python "
            f"{sys.version_info.major}.{sys.version_info.minor}; use data.source=file"
        )
    paths.sort(key=lambda path: seed_of("stdlib", path.relative_to(root).as_posix()))
    return {"train": TextFiles(paths, root)}


def _belongs(relative: Path, path: Path) -> bool:
    inside = not LEFT_OUT.intersection(relative.parts)
    # The build's own settings, which hold paths of the machine that compiled this Python.
    generated = relative.name.startswith("_sysconfigdata") or relative.parts[0].startswith("config")
    is_code = relative.suffix == ".py"
    return is_code and inside and not generated and 0 < path.stat().st_size <= LARGEST
