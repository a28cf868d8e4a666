"""One process at a time in a run folder."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from whitebox_transformers.errors import UserError

try:
    import fcntl
except ImportError:  # not POSIX: there nobody is kept out
    fcntl = None

LOCK = ".lock"


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep other processes out of ``folder``, which is made if it does not exist.

    The operating system lets go of the lock when the process ends, however it ends; processes
    forked meanwhile do not inherit it. The file stays, empty, because a process may be about to
    lock it.

    Raises:
        UserError: Another process is in the folder; its number and machine are named.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / LOCK, "a+", encoding="utf-8") as file:
        if fcntl is not None:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError) as error:
                file.seek(0)
                raise UserError(
                    f"{folder} is in use by {file.read() or 'another process'}; "
                    "let that process finish, end it, or give another folder with out=..."
                ) from error
        file.truncate(0)
        file.write(f"process {os.getpid()} on {platform.node()}")
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)
