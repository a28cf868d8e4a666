"""One tiny recipe of every kind, nothing in it drawn by the process that trains (dropout)."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image
from tests.learn.tiny_dino_run import tiny_dino_recipe
from tests.learn.tiny_mae_run import tiny_mae_recipe
from tests.learn.tiny_run import tiny_recipe
from tests.learn.tiny_text_run import NOUNS, VERBS, tiny_text_recipe, write_language

from whitebox_transformers.data.config import DataConfig
from whitebox_transformers.data.text import TokenizerConfig
from whitebox_transformers.tasks.recipe import Recipe
from whitebox_transformers.training.recipe import recipe_from_dict, recipe_to_dict

LENGTH = {"steps": 6, "evaluate_every": 6, "checkpoint_every": 6, "log_every": 1}


def recipe_kinds(data: Path) -> dict[str, Recipe]:
    """Recipes by name; their data are in the folder, from :func:`write_data`."""
    text = data / "text"
    settled = tiny_dino_recipe(objective="simdino", model={"pooling": "mean"}, **LENGTH)
    byte_stream = tiny_text_recipe("causal-lm", "crate-gpt", text, {"streaming": True}, **LENGTH)
    images = DataConfig(source="folder", path=str(data / "images"), streaming=True)
    penalty = {"weight": 0.01, "layers": "all"}
    kinds = {
        "classifier": tiny_recipe(rate_penalty=penalty, monitor_rates=6, **LENGTH),
        "mixed stream of images": replace(tiny_recipe(**LENGTH), data=images),
        "masked autoencoder": tiny_mae_recipe(**LENGTH),
        "dino": tiny_dino_recipe(batch_size=24, **LENGTH),
        "simdino": settled,
        "stream of text": replace(byte_stream, tokenizer=TokenizerConfig(kind="bytes")),
        "causal": tiny_text_recipe("causal-lm", "gpt2", text, **LENGTH),
        "masked": tiny_text_recipe("masked-lm", "crate-bert", text, **LENGTH),
        "texts": _classified(data / "rows.tsv"),
    }
    for recipe in kinds.values():
        _without_dropout(recipe)
    return kinds


def write_data(folder: Path) -> Path:
    """A language, labelled sentences, and images of noise; none divides among two processes."""
    write_language(folder / "text")
    draw = random.Random(0)
    rows = ["text\tlabel"]
    for _ in range(151):
        words = f"{draw.choice(NOUNS)} {draw.choice(VERBS)} {draw.choice(NOUNS)}"
        rows.append(f"{words}\t{'cat' if 'cat' in words else 'other'}")
    (folder / "rows.tsv").write_text("\n".join(rows) + "\n")
    noise = np.random.default_rng(0)
    for split, count in (("train", 60), ("val", 13), ("test", 9)):
        for label in ("a", "b"):
            path = folder / "images" / split / label
            path.mkdir(parents=True)
            for number in range(count):
                pixels = noise.integers(0, 256, (8, 8), dtype=np.uint8)
                Image.fromarray(pixels).save(path / f"{number}.png")
    return folder


def _classified(rows: Path) -> Recipe:
    values = recipe_to_dict(tiny_text_recipe("masked-lm", "crate-bert", rows, **LENGTH))
    values |= {"task": "text-classification", "metric": None}
    values["model"]["config"]["max_position_embeddings"] = 40
    values["data"] |= {"source": "table", "text_column": "text"}
    return recipe_from_dict(values)


def _without_dropout(recipe: Recipe) -> None:
    names = {"hidden_dropout_prob", "attention_probs_dropout_prob"}
    own = names if recipe.model.family.startswith("crate") else set()
    switched = {key for key in recipe.model.config if "drop" in key} | own
    recipe.model.config.update(dict.fromkeys(switched, 0.0))
