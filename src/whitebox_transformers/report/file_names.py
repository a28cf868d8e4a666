"""Where pictures of many images go, and what they are called."""

from __future__ import annotations

from collections import Counter
from pathlib import Path


def folder_for(run: str | Path, out: str | Path | None, name: str) -> Path:
    """The folder asked for; else ``name`` in the model's folder, or here for a hub name."""
    if out is not None:
        return Path(out).expanduser()
    folder = Path(run).expanduser()
    return folder / name if folder.is_dir() else Path(name)


class FileNames:
    """Names of pictures after their images, a number added where two images are called alike."""

    def __init__(self) -> None:
        self._given: Counter[str] = Counter()

    def of(self, image: Path) -> str:
        """A name that was not given before, without suffix."""
        self._given[image.stem] += 1
        count = self._given[image.stem]
        return image.stem if count == 1 else f"{image.stem}-{count}"
