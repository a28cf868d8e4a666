"""``wbt list``: named sizes and shipped recipes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from whitebox_transformers_cli.shipped import shipped_recipes

# The class counts at which the papers give parameter counts (patch 8: ImageNet-21k).
CLASSES, CLASSES_PATCH8 = 1000, 21_841


def list_all() -> None:
    """List named model sizes and shipped recipes."""
    from whitebox_transformers_cli.tables import print_table

    print_table(
        f"Presets; classifiers of images with {CLASSES:,} classes (-patch8: {CLASSES_PATCH8:,})",
        ("preset", "parameters", "width", "layers", "heads", "patch"),
        _preset_rows(),
    )
    print_table("Recipes", ("recipe", "about"), _recipe_rows(), numbers_from=2)
    typer.echo("Train one: wbt train RECIPE.  A recipe is also any path to a YAML file.")


def _preset_rows() -> list[tuple[str, ...]]:
    """One row for every preset of every task's white box."""
    import torch

    from whitebox_transformers.tasks import TASKS

    rows: dict[str, tuple[str, ...]] = {}
    for task in TASKS.values():
        family = task.families[task.white_box]
        for name in family.presets.keys() - rows.keys():
            white_box: Any = family.config  # has presets, which no other configuration has
            config = white_box.from_preset(name, **_classes(task.name, name))
            with torch.device("meta"):
                model = family.model(config)
            values = (
                sum(p.numel() for p in model.parameters() if p.requires_grad),
                config.hidden_size,
                config.num_hidden_layers,
                config.num_attention_heads,
                getattr(config, "patch_size", "-"),
            )
            rows[name] = (name, *(f"{v:,}" if isinstance(v, int) else str(v) for v in values))
    order = [name for task in TASKS.values() for name in task.families[task.white_box].presets]
    return [rows[name] for name in dict.fromkeys(order)]


def _classes(task: str, preset: str) -> dict[str, int]:
    """The number of classes of a classifier of images; other heads have their own size."""
    if task != "image-classification":
        return {}
    return {"num_labels": CLASSES_PATCH8 if preset.endswith("-patch8") else CLASSES}


def _recipe_rows() -> list[tuple[str, str]]:
    return [(name, _first_comment(path)) for name, path in shipped_recipes().items()]


def _first_comment(path: Path) -> str:
    first = path.read_text(encoding="utf-8").partition("\n")[0]
    return first.removeprefix("#").strip() if first.startswith("#") else ""
