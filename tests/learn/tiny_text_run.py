"""Runs of a few steps on a made-up language, with everything random switched on."""

from __future__ import annotations

import random
from pathlib import Path

from whitebox_transformers.tasks.text import TextRecipe
from whitebox_transformers.training.recipe import recipe_from_dict

VERBS = ("sees", "hears", "finds", "follows")
NOUNS = ("the cat", "a dog", "the moon", "a star")
CONFIGS = {
    "crate-gpt": {
        "max_position_embeddings": 16,
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "hidden_dropout_prob": 0.1,
    },
    "crate-bert": {
        "max_position_embeddings": 18,
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    },
    "gpt2": {
        "n_positions": 16,
        "n_embd": 16,
        "n_layer": 1,
        "n_head": 2,
        "resid_pdrop": 0.1,
        "embd_pdrop": 0.1,
        "attn_pdrop": 0.1,
    },
    "bert": {
        "max_position_embeddings": 16,
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 32,
    },
}


def write_language(folder: Path) -> Path:
    """Forty documents of short sentences; three of four characters follow from those before."""
    draw = random.Random(0)
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(40):
        sentences = [
            f"{draw.choice(NOUNS)} {draw.choice(VERBS)} {draw.choice(NOUNS)}." for _ in range(8)
        ]
        (folder / f"{number}.txt").write_text("\n".join(sentences) + "\n", encoding="utf-8")
    return folder


def tiny_text_recipe(task: str, family: str, text: Path, data=None, **train) -> TextRecipe:
    """Recipe of a tiny language model on characters of the made-up language.

    Args:
        task: Its name.
        family: White box or black box.
        text: From ``write_language``.
        data: Further keys of ``data``.
        train: Keys of ``train`` to change.
    """
    settings = {
        "steps": 12,
        "batch_size": 8,
        "accumulate": 2,
        "learning_rate": 0.01,
        "schedule": "linear",
        "min_learning_rate": 0.002,
        "evaluate_every": 5,
        "checkpoint_every": 3,
        "checkpoints": 1,
        "log_every": 2,
        "tensorboard": False,
    }
    recipe = recipe_from_dict(
        {
            "name": "tiny",
            "task": task,
            "model": {"family": family, "config": CONFIGS[family]},
            "data": {"source": "folder", "path": str(text)} | (data or {}),
            "tokenizer": {"kind": "characters"},
            "train": settings | train,
        }
    )
    assert isinstance(recipe, TextRecipe)
    return recipe
