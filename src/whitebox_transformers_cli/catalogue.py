"""``wbt list``: named sizes and shipped recipes."""

from __future__ import annotations

from pathlib import Path

import typer

from whitebox_transformers_cli.shipped import shipped_recipes

# The class counts at which the papers give parameter counts (patch 8: ImageNet-21k).
CLASSES, CLASSES_PATCH8 = 1000, 21_841


def list_all() -> None:
    """List named model sizes and shipped recipes."""
    from whitebox_transformers_cli.tables import print_table

    print_table(
        f"Presets, parameters with {CLASSES:,} classes (-patch8: {CLASSES_PATCH8:,})",
        ("preset", "parameters", "width", "layers", "heads", "patch"),
        _preset_rows(),
    )
    print_table("Recipes", ("recipe", "about"), _recipe_rows(), numbers_from=2)
    typer.echo("Train one: wbt train RECIPE.  A recipe is also any path to a YAML file.")


def _preset_rows() -> list[tuple[str, ...]]:
    import torch

    from whitebox_transformers import CrateConfig, CrateForImageClassification
    from whitebox_transformers.crate import PRESETS

    rows = []
    for name in PRESETS:
        classes = CLASSES_PATCH8 if name.endswith("-patch8") else CLASSES
        config = CrateConfig.from_preset(name, num_labels=classes)
        with torch.device("meta"):
            model = CrateForImageClassification(config)
        values = (
            sum(p.numel() for p in model.parameters()),
            config.hidden_size,
            config.num_hidden_layers,
            config.num_attention_heads,
            config.patch_size,
        )
        rows.append((name, *(f"{value:,}" for value in values)))
    return rows


def _recipe_rows() -> list[tuple[str, str]]:
    return [(name, _first_comment(path)) for name, path in shipped_recipes().items()]


def _first_comment(path: Path) -> str:
    first = path.read_text(encoding="utf-8").partition("\n")[0]
    return first.removeprefix("#").strip() if first.startswith("#") else ""
