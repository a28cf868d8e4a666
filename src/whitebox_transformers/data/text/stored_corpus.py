"""Tokenised corpora on disk: written whole, found again by what they were made of, mapped."""

from __future__ import annotations

import json
import os
import shutil
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch

from whitebox_transformers.data.location import expand
from whitebox_transformers.data.text.corpus import Corpus
from whitebox_transformers.errors import UserError

# Changes when the same text and tokenizer would give other arrays.
FORMAT = 1
CONTENTS = "corpus.json"


class StoredCorpus(Corpus):
    """A corpus whose arrays lie in files; processes map them and hand on their place only."""

    def __init__(self, folder: Path) -> None:
        contents = json.loads((folder / CONTENTS).read_text(encoding="utf-8"))
        arrays = {name: _mapped(folder / name, kind, length) for name, (kind, length) in
                  contents["arrays"].items()}  # fmt: skip
        super().__init__(bytes=contents["bytes"], **arrays)
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return StoredCorpus, (self.folder,)


class CorpusFolder:
    """A folder that becomes a corpus; it has its name once everything is in it.

    Use it in a ``with`` block, whose failure leaves nothing behind.

    Args:
        folder: Where it will be.

    Raises:
        UserError: It cannot be written, because the disk is full for instance.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.draft = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
        self._files: dict[str, BinaryIO] = {}
        self._arrays: dict[str, list[Any]] = {}

    def __enter__(self) -> CorpusFolder:
        try:
            shutil.rmtree(self.draft, ignore_errors=True)
            self.draft.mkdir(parents=True)
        except OSError as error:
            raise self._refusal(error) from error
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files.values():
            file.close()
        shutil.rmtree(self.draft, ignore_errors=True)

    def append(self, name: str, values: np.ndarray) -> None:
        """Put values behind the others of that name."""
        try:
            if name not in self._files:
                self._files[name] = (self.draft / name).open("wb")
                self._arrays[name] = [values.dtype.name, 0]
            self._files[name].write(values.tobytes())
        except OSError as error:
            raise self._refusal(error) from error
        self._arrays[name][1] += len(values)

    def corpus(self, size: int) -> Corpus:
        """The whole, in its place."""
        contents = json.dumps({"format": FORMAT, "bytes": size, "arrays": self._arrays})
        try:
            for file in self._files.values():
                file.close()
            (self.draft / CONTENTS).write_text(contents, encoding="utf-8")
            self._put_in_place()
        except OSError as error:
            raise self._refusal(error) from error
        return StoredCorpus(self.folder)

    def _put_in_place(self) -> None:
        try:
            self.draft.rename(self.folder)
        except OSError:
            if not (self.folder / CONTENTS).is_file():
                raise
            # Another process was faster; what it wrote is the same.

    def _refusal(self, error: OSError) -> UserError:
        return UserError(
            f"{self.folder.parent} cannot keep the tokenised text: {error.strerror}; choose "
            "another place with data.cache_folder, or none with data.cache_mib=null"
        )


def find_corpus(folder: Path) -> Corpus | None:
    """The corpus of a folder, if a whole one lies there; a damaged one is removed."""
    if not folder.is_dir():
        return None
    try:
        return StoredCorpus(folder)
    except (OSError, ValueError, KeyError):
        shutil.rmtree(folder, ignore_errors=True)
        return None


def cache_folder(asked: str | None) -> Path:
    """Where corpora are kept: the recipe's folder, or the user's cache.

    Raises:
        UserError: A variable in the recipe's path is not set.
    """
    if asked is not None:
        return Path(expand(asked, "data.cache_folder"))
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "whitebox-transformers" / "corpora"


def name_of(*parts: Any) -> str:
    """A name that changes with everything a corpus is made of."""
    content = json.dumps([FORMAT, *parts], sort_keys=True)
    return blake2b(content.encode(), digest_size=16).hexdigest()


def _mapped(path: Path, kind: str, length: int) -> torch.Tensor:
    dtype = np.dtype(kind)
    if path.stat().st_size != length * dtype.itemsize:
        raise ValueError(f"{path} is not whole")
    if not length:
        return torch.from_numpy(np.zeros(0, dtype))  # nothing can be mapped
    # Copy on write, because torch has no read-only tensors; nobody writes.
    return torch.from_numpy(np.memmap(path, dtype, mode="c", shape=(length,)))
