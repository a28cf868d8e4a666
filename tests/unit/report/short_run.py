"""Real runs of two steps on a few digits."""

from __future__ import annotations

from whitebox_transformers.training.recipe import recipe_from_dict
from whitebox_transformers.training.run import train

CRATE = {
    "family": "crate",
    "config": {
        "image_size": 8,
        "patch_size": 2,
        "num_channels": 1,
        "hidden_size": 12,
        "num_hidden_layers": 2,
        "num_attention_heads": 3,
        "patch_embedding": "linear",
    },
}
VIT = {
    "family": "vit",
    "config": {
        "image_size": 8,
        "patch_size": 2,
        "num_channels": 1,
        "hidden_size": 12,
        "num_hidden_layers": 1,
        "num_attention_heads": 3,
        "intermediate_size": 8,
    },
}


def short_run(folder, model, **config):
    model = model | {"config": model["config"] | config}
    recipe = recipe_from_dict(
        {
            "name": "short",
            "out": str(folder),
            "model": model,
            "data": {"limit": 60, "validation_share": 0.3},
            "train": {
                "epochs": None,
                "steps": 2,
                "batch_size": 8,
                "keep": [0, 1],
                "tensorboard": False,
                "log_every": 1,
                "device": "cpu",
            },
        }
    )
    return train(recipe)
