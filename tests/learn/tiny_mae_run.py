"""A masked autoencoder of a few steps on digits."""

from whitebox_transformers.training.recipe import Recipe, recipe_from_dict

SIZES = {"image_size": 8, "patch_size": 2, "num_channels": 1, "num_hidden_layers": 2}
WHITE = {"hidden_size": 32, "num_attention_heads": 2, "threshold": 0.1}
BLACK = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 62}


def tiny_mae_recipe(family: str = "crate-mae", model: dict | None = None, **train) -> Recipe:
    """Recipe of a tiny white box with its black box, in 48-image batches of digits."""
    decoder = {f"decoder_{key}": value for key, value in BLACK.items()}
    black = SIZES | BLACK | decoder | {"decoder_num_hidden_layers": 2}
    own = SIZES | WHITE if family == "crate-mae" else black
    settings = {
        "steps": 12,
        "batch_size": 48,
        "accumulate": 2,
        "learning_rate": 0.005,
        "evaluate_every": 5,
        "checkpoint_every": 3,
        "checkpoints": 1,
        "log_every": 2,
        "tensorboard": False,
    }
    return recipe_from_dict(
        {
            "name": "tiny-mae",
            "task": "masked-autoencoding",
            "model": {"family": family, "config": own | (model or {})},
            "against": {"family": "vit-mae", "config": black},
            "data": {"limit": 100},
            "augment": {"crop": "padded", "crop_padding": 1},
            "train": settings | train,
        }
    )
