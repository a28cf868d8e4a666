"""A run of a few steps with everything random switched on: dropout, shifts, mixup."""

from whitebox_transformers.training.recipe import Recipe, recipe_from_dict


def tiny_recipe(family: str = "crate", **train) -> Recipe:
    """Recipe of a tiny classifier on 48-image batches of digits."""
    sizes = {"image_size": 8, "patch_size": 4, "num_channels": 1, "hidden_size": 16}
    sizes |= {"num_hidden_layers": 1, "num_attention_heads": 2}
    sizes |= {"hidden_dropout_prob": 0.2, "attention_probs_dropout_prob": 0.2}
    extra = {"patch_embedding": "linear"} if family == "crate" else {"intermediate_size": 32}
    settings = {
        "steps": 12,
        "batch_size": 48,
        "accumulate": 2,
        "learning_rate": 0.01,
        "evaluate_every": 5,
        "checkpoint_every": 3,
        "checkpoints": 1,
        "label_smoothing": 0.1,
        "log_every": 2,
        "tensorboard": False,
    }
    return recipe_from_dict(
        {
            "name": "tiny",
            "model": {"family": family, "config": sizes | extra},
            "data": {"limit": 100},
            "augment": {"crop": "padded", "crop_padding": 1, "mixup": 0.5},
            "train": settings | train,
        }
    )
