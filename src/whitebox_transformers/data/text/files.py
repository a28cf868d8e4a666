"""Text files: a document is a file, or what a separator ends."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from hashlib import blake2b
from itertools import islice
from mmap import ACCESS_READ, mmap
from pathlib import Path

from whitebox_transformers.data.location import existing_folder, expand, files_below
from whitebox_transformers.data.seeding import permutation
from whitebox_transformers.data.text.config import TextDataConfig
from whitebox_transformers.data.text.documents import Document, DocumentSource
from whitebox_transformers.errors import UserError

LONGEST_STREAMED = 2**30
"""Bytes of a document that passes by."""


class TextFiles:
    """Documents of files; as a stream it permutes the files.

    Args:
        paths: The files.
        root: Folder that their keys are relative to, so that a copy elsewhere is split alike.
        separator: What ends a document inside a file; None: a document is a file.
    """

    def __init__(self, paths: list[Path], root: Path, separator: str | None = None) -> None:
        self.paths, self.root = paths, root
        self.separator = separator.encode() if separator else None

    def documents(self, seed: int | None) -> Iterator[Document]:
        count = len(self.paths)
        order = range(count) if seed is None else permutation(count, "files", seed).tolist()
        for path in (self.paths[position] for position in order):
            if self.separator is None:
                yield Document(str(path), path.relative_to(self.root).as_posix(), path)
            else:
                yield from self._pieces(path, self.separator)

    def _pieces(self, path: Path, separator: bytes) -> Iterator[Document]:
        kind = "line" if separator == b"\n" else "document"
        try:
            for number, (piece, offset, ended) in enumerate(_split(path, separator), start=1):
                key = blake2b(piece, digest_size=16).hexdigest()
                ending = len(separator) if ended else 0
                yield Document(f"{path} {kind} {number}", key, piece, ending, offset)
        except OSError as error:
            raise UserError(f"{path} cannot be read: {error.strerror}") from error


def open_files(data: TextDataConfig) -> dict[str, DocumentSource]:
    """Sources by role: the files that ``data.path`` and its companions name.

    Raises:
        UserError: No such file, an empty one, or one in which the separator never occurs.
    """
    return _by_role(data, _files_named)


def open_text_folder(data: TextDataConfig) -> dict[str, DocumentSource]:
    """Sources by role: the files below the folders.

    Raises:
        UserError: No such folder, no file in it, or a separator that never occurs.
    """
    return _by_role(data, _files_below)


def _by_role(data: TextDataConfig, find) -> dict[str, DocumentSource]:
    asked = {"train": data.path, "validation": data.validation_path, "test": data.test_path}
    sources: dict[str, DocumentSource] = {}
    for role, path in asked.items():
        if path is None:
            continue
        key = "data.path" if role == "train" else f"data.{role}_path"
        paths, root = find(path, key, data)
        if data.separator is not None:
            _require_separator(paths, data.separator)
        elif data.streaming:
            _refuse_long(paths)
        sources[role] = TextFiles(paths, root, data.separator)
    return sources


def named_files(asked: str | list[str], key: str, mend: str) -> tuple[list[Path], Path]:
    """The files of paths and patterns in their order, and the folder that holds them all.

    Args:
        asked: What the recipe says.
        key: Where it says so.
        mend: What to do if it names a folder.

    Raises:
        UserError: There is no such file, or it is empty.
    """
    paths: dict[Path, None] = {}
    for entry in [asked] if isinstance(asked, str) else asked:
        name = expand(entry, key)
        found = [Path(name)] if Path(name).exists() else _matching(name)
        if not found:
            raise UserError(f"{key}={entry}: there is no file {name}")
        for path in found:
            if path.is_dir():
                raise UserError(f"{key}={entry}: {path} is a folder; {mend}")
            if path.stat().st_size == 0:
                raise UserError(f"{key}={entry}: {path} is empty (0 bytes)")
            paths[path] = None
    return list(paths), Path(os.path.commonpath([path.parent for path in paths]))


def _files_named(asked: str | list[str], key: str, data: TextDataConfig) -> tuple[list[Path], Path]:
    return named_files(asked, key, "set data.source=folder")


def _matching(pattern: str) -> list[Path]:
    return [Path(name) for name in sorted(glob.glob(pattern, recursive=True))]


def _files_below(asked: str | list[str], key: str, data: TextDataConfig) -> tuple[list[Path], Path]:
    if not isinstance(asked, str):
        raise UserError(f"{key}={asked}: data.source=folder takes one folder")
    root = existing_folder(asked, key)
    paths = [path for path in files_below(root) if data.pattern is None or path.match(data.pattern)]
    if not paths:
        named = "file" if data.pattern is None else f"file named data.pattern={data.pattern}"
        raise UserError(f"{key}={asked}: {root} holds no {named}")
    return paths, root


def _require_separator(paths: list[Path], separator: str) -> None:
    if any(ended for path in paths for _, _, ended in islice(_split(path, separator.encode()), 1)):
        return
    files = str(paths[0]) if len(paths) == 1 else f"{len(paths)} files, e.g. {paths[0]}"
    raise UserError(
        f"data.separator={separator!r} does not occur in {files}; "
        "null makes a whole file one document"
    )


def _refuse_long(paths: list[Path]) -> None:
    for path in paths:
        if path.stat().st_size > LONGEST_STREAMED:
            raise UserError(
                f"{path} is one document of {path.stat().st_size / 2**30:.1f} GiB, which a stream "
                "holds in memory; name what ends a document with data.separator"
            )


def _split(path: Path, separator: bytes) -> Iterator[tuple[bytes, int, bool]]:
    """Pieces of a file, where each begins, and whether a separator ended it."""
    if path.stat().st_size == 0:
        return  # an empty file cannot be mapped
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
        begin = 0
        while (end := content.find(separator, begin)) >= 0:
            yield content[begin:end], begin, True
            begin = end + len(separator)
        if begin < len(content):
            yield content[begin:], begin, False
