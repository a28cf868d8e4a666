"""One process at a time in a run folder."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

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
    forked meanwhile do not inherit it. Unless it was killed, the lock's file goes with it, and so
    do folders that were made for it and in which nothing was written.

    Raises:
        UserError: Another process is in the folder (its number and machine are named), or the
            folder cannot be made.
    """
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    with _locked(folder) as file:
        file.truncate(0)
        file.write(f"process {os.getpid()} on {platform.node()}")
        file.flush()
        try:
            yield
        finally:
            # While it is still held: whoever opened the file meanwhile finds it out of place.
            with suppress(OSError):
                (folder / LOCK).unlink()
                for path in made:
                    path.rmdir()


def _locked(folder: Path) -> TextIO:
    """The lock's file, open, held and in its place."""
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file = open(folder / LOCK, "a+", encoding="utf-8")  # noqa: SIM115
        except FileNotFoundError:  # its former holder has just removed the folder
            continue
        except OSError as error:
            raise UserError(
                f"{folder} cannot be written: {error.strerror}; give another folder with out=..."
            ) from error
        try:
            _hold(file, folder)
            # Its former holder may have removed the file since it was opened.
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(file.fileno()), os.stat(folder / LOCK)):
                    return file
        except BaseException:
            file.close()
            raise
        file.close()


def _hold(file: TextIO, folder: Path) -> None:
    if fcntl is None:
        return
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError) as error:
        file.seek(0)
        raise UserError(
            f"{folder} is in use by {file.read() or 'another process'}; "
            "let that process finish, end it, or give another folder with out=..."
        ) from error
