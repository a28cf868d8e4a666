"""Small corpora made on the spot."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from whitebox_transformers.data.text import TextDataConfig, TokenizerConfig, build_text

WORDS = [
    "the",
    "subspace",
    "rate",
    "of",
    "a",
    "token",
    "is",
    "coded",
    "by",
    "few",
    "atoms",
    "été",
    "数学",
    "🙂",
]


def prose(seed: int, words: int) -> str:
    """Sentences of a few words, with characters of one to four bytes."""
    draw = random.Random(seed)
    text = " ".join(draw.choice(WORDS) for _ in range(words))
    return text.replace("token ", "token.\n").replace("few ", "few\n\n    ")


def write_folder(root: Path, lengths: list[int]) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    for number, words in enumerate(lengths):
        (root / f"{number:02}.txt").write_text(prose(number, words), encoding="utf-8")
    return root


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """24 documents of 1 to 70 words."""
    return write_folder(tmp_path / "texts", [1 + 3 * number for number in range(24)])


def build(path: Path, kind="characters", objective="causal", context=16, seed=0, **data):
    """``build_text`` of a folder or a file; keys of the tokenizer begin with ``tokenizer_``."""
    source = data.pop("source", "folder" if path.is_dir() else "file")
    prefix = "tokenizer_"
    tokenizer = {key.removeprefix(prefix): data.pop(key) for key in [*data] if key[:10] == prefix}
    return build_text(
        TextDataConfig(source=source, path=str(path), **data),
        TokenizerConfig(kind=kind, **tokenizer),
        objective,
        context,
        seed,
    )
