"""Self-distillation of a few steps on digits."""

from whitebox_transformers.training.recipe import Recipe, recipe_from_dict

SIZES = {"image_size": 8, "patch_size": 2, "num_channels": 1, "num_hidden_layers": 2,
         "num_attention_heads": 2}  # fmt: skip
OWN = {
    "crate-dino": {"hidden_size": 32, "patch_embedding": "linear"},
    "vit-dino": {"hidden_size": 16, "intermediate_size": 64},
}
HEADS = {
    "dino": {"num_prototypes": 64},
    "simdino": {"objective": "simdino", "rate_weight": 0.05, "rate_precision": 0.5},
}


def tiny_dino_recipe(
    family: str = "crate-dino",
    objective: str = "dino",
    model: dict | None = None,
    distillation: dict | None = None,
    data: dict | None = None,
    crops: dict | None = None,
    **train,
) -> Recipe:
    """Recipe of a tiny student and teacher, in 32-image batches of digits."""
    head = {"head_hidden_size": 32, "head_bottleneck_size": 64} | HEADS[objective]
    settings = {
        "steps": 12,
        "batch_size": 32,
        "accumulate": 2,
        "learning_rate": 0.003,
        "weight_decay": 0.04,
        "clip": 3.0,
        "evaluate_every": 5,
        "checkpoint_every": 3,
        "checkpoints": 1,
        "log_every": 2,
        "tensorboard": False,
    }
    views = {"local_crops": 4, "local_size": 4, "global_scale": [0.6, 1.0], "hue": 0.0,
             "local_scale": [0.2, 0.6], "flip": 0.0, "blur": [0.2, 0.1, 0.1]}  # fmt: skip
    return recipe_from_dict(
        {
            "name": "tiny-dino",
            "task": "self-distillation",
            "model": {"family": family, "config": SIZES | OWN[family] | head | (model or {})},
            "data": data or {"limit": 64},
            "crops": views | (crops or {}),
            "distillation": {"momentum": 0.9} | (distillation or {}),
            "train": settings | train,
        }
    )
