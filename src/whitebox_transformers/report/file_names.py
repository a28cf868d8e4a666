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
        self._met: Counter[str] = Counter()
        self._given: set[str] = set()

    def of(self, image: Path) -> str:
        """A name that was not given before, without suffix."""
        count = self._met[image.stem] = self._met[image.stem] + 1
        name = image.stem if count == 1 else f"{image.stem}-{count}"
        while name in self._given:  # an image may itself be called 1-2.png
            count = self._met[image.stem] = count + 1
            name = f"{image.stem}-{count}"
        self._given.add(name)
        return name
