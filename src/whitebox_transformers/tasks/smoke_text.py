"""Little text for a smoke run: the recipe's own where it is on this machine, or made-up words."""

from __future__ import annotations

import glob
import os
import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from whitebox_transformers.data.location import expand
from whitebox_transformers.data.text import TextDataConfig, TokenizerConfig
from whitebox_transformers.errors import UserError
from whitebox_transformers.training.processes import is_main_process

if TYPE_CHECKING:
    from whitebox_transformers.tasks.text import TextRecipe

T = TypeVar("T", bound="TextRecipe")

CONTEXT = 32
DOCUMENTS, WORDS = 20, 100
VOCABULARY = 512


def cut_down(recipe: T, room: int, rows: int) -> T:
    """The recipe with short samples, and a tokenizer that little text is enough for.

    Args:
        recipe: Any recipe on text.
        room: The most tokens that its model reads at once.
        rows: The vocabulary that its model has if no tokenizer says otherwise.
    """
    context = min(recipe.context or room, CONTEXT)
    return replace(recipe, context=context, tokenizer=_small(recipe.tokenizer, rows))


def is_here(data: TextDataConfig) -> bool:
    """Whether all files that the block names are on this machine."""
    if data.source == "stdlib":
        return True
    if data.source == "hub":
        return False
    asked = (data.path, data.validation_path, data.test_path)
    entries = [
        entry for path in asked for entry in ([path] if isinstance(path, str) else path or ())
    ]
    try:
        names = [expand(entry) for entry in entries]
    except UserError:
        return False
    return all(os.path.exists(name) or glob.glob(name, recursive=True) for name in names)


def _small(tokenizer: TokenizerConfig, rows: int) -> TokenizerConfig:
    """A tokenizer that little text is enough for, with a vocabulary of the same size.

    The parameters of a model depend on it, and those of a pair have to be equal in any case.
    """
    if tokenizer.kind == "pretrained":
        here = Path(tokenizer.path or "").expanduser().is_dir()
        if here:
            return tokenizer
        return TokenizerConfig(vocabulary_size=VOCABULARY, pad_to_multiple_of=rows)
    if tokenizer.vocabulary_size is None:
        return tokenizer
    return replace(tokenizer, pad_to_multiple_of=tokenizer.vocabulary_size)


def made_up_documents(data: TextDataConfig, folder: Path) -> TextDataConfig:
    """Write files of words that mean nothing, of which some are frequent."""
    draw = _Words()
    _write({f"{number}.txt": draw.some(10 * WORDS) for number in range(DOCUMENTS)}, folder)
    return TextDataConfig(source="folder", path=str(folder), cross_documents=data.cross_documents)


def made_up_rows(data: TextDataConfig, folder: Path) -> TextDataConfig:
    """Write a table of texts, or pairs, each of which begins with the name of its label."""
    draw = _Words()
    columns = ["text", "pair", "label"] if data.text_pair_column else ["text", "label"]
    names = data.labels or ["0", "1"]
    lines = ["\t".join(columns)]
    for number in range(DOCUMENTS * len(names)):
        label = str(number / 10) if data.regression else names[number % len(names)]
        texts = [f"{label} {draw.some(10)}" for _ in columns[1:]]
        lines.append("\t".join([*texts, label]))
    _write({"rows.tsv": "\n".join(lines)}, folder)
    return TextDataConfig(
        source="table",
        path=str(folder / "rows.tsv"),
        text_column="text",
        text_pair_column="pair" if data.text_pair_column else None,
        labels=None if data.regression else names,
        regression=data.regression,
        validation_share=0.2,
    )


def _write(texts: Mapping[str, str], folder: Path) -> None:
    """By one of the processes: another might read what is half written."""
    if not is_main_process():
        return
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / name).write_text(f"{text}\n", encoding="utf-8")


class _Words:
    """Words that mean nothing, the same at every call."""

    def __init__(self) -> None:
        self.draw = random.Random(0)
        self.words = [
            "".join(self.draw.choices("abcdefghij", k=self.draw.randint(2, 7)))
            for _ in range(WORDS)
        ]
        self.weights = [1 / rank for rank in range(1, WORDS + 1)]

    def some(self, count: int) -> str:
        return " ".join(self.draw.choices(self.words, self.weights, k=count))
