"""Little text for a smoke run: the recipe's own where it is on this machine, or made-up words."""

from __future__ import annotations

import glob
import os
import random
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from whitebox_transformers.data.location import expand
from whitebox_transformers.data.text import TextDataConfig, TokenizerConfig
from whitebox_transformers.errors import UserError

if TYPE_CHECKING:
    from whitebox_transformers.tasks.text import TextRecipe

CONTEXT = 32
MIB = 0.01
DOCUMENTS, WORDS = 20, 100
VOCABULARY = 512


def cut_down(recipe: TextRecipe, room: int, folder: Path) -> TextRecipe:
    """The recipe with little text in short samples.

    Args:
        recipe: Any recipe on text.
        room: The most tokens that its model reads at once.
        folder: Receives what is made up.
    """
    recipe = replace(recipe, context=min(recipe.context or room, CONTEXT))
    recipe = replace(recipe, tokenizer=_small(recipe.tokenizer))
    if is_here(recipe.data):
        return replace(recipe, data=replace(recipe.data, limit_mib=MIB))
    _write_words(folder)
    data = TextDataConfig(
        source="folder", path=str(folder), cross_documents=recipe.data.cross_documents
    )
    return replace(recipe, data=data)


def is_here(data: TextDataConfig) -> bool:
    """Whether all files that the block names are on this machine."""
    if data.source == "stdlib":
        return True
    if data.source not in ("file", "folder"):
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


def _small(tokenizer: TokenizerConfig) -> TokenizerConfig:
    """A tokenizer that little text is enough for, with a vocabulary of the same size.

    The parameters of a model depend on it, and those of a pair have to be equal in any case.
    """
    if tokenizer.kind == "pretrained":
        here = Path(tokenizer.path or "").expanduser().is_dir()
        return tokenizer if here else TokenizerConfig(vocabulary_size=VOCABULARY)
    if tokenizer.vocabulary_size is None:
        return tokenizer
    return replace(tokenizer, pad_to_multiple_of=tokenizer.vocabulary_size)


def _write_words(folder: Path) -> None:
    """Write documents of words that mean nothing, of which some are frequent."""
    draw = random.Random(0)
    words = ["".join(draw.choices("abcdefghij", k=draw.randint(2, 7))) for _ in range(WORDS)]
    weights = [1 / rank for rank in range(1, WORDS + 1)]
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(DOCUMENTS):
        text = " ".join(draw.choices(words, weights, k=10 * WORDS))
        (folder / f"{number}.txt").write_text(f"{text}\n", encoding="utf-8")
