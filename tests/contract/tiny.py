"""The small models on which every promise to Hugging Face users is tried."""

from __future__ import annotations

import torch

from whitebox_transformers.crate import CrateConfig, CrateForImageClassification

SIZES = {
    "image_size": [8, 12],
    "patch_size": 4,
    "hidden_size": 12,
    "num_hidden_layers": 3,
    "num_attention_heads": 3,
    "num_labels": 5,
}

# One entry for every choice the configuration offers, and the combinations that meet in one block.
VARIANTS: dict[str, dict] = {
    "published": {},
    "one-layer-one-head": {"num_hidden_layers": 1, "num_attention_heads": 1},
    "wide-heads": {"head_dim": 7},
    "linear-patches": {"patch_embedding": "linear"},
    "conv-patches": {"patch_embedding": "conv"},
    "grey-tall-patches": {"num_channels": 1, "patch_size": [4, 2]},
    "fixed-positions": {"position_embedding_type": "sine"},
    "final-norm-mean": {"final_norm": True, "pooling": "mean"},
    "mean-pooling": {"pooling": "mean"},
    "projection": {"projection_size": 6},
    "no-output-bias": {"mssa_output_bias": False},
    "tied": {"mssa_output": "tied"},
    "tied-wide-heads": {"mssa_output": "tied", "head_dim": 7},
    "transpose": {"mssa_output": "transpose"},
    "fixed": {"mssa_output": "fixed"},
    "identity": {"mssa_output": "identity"},
    "minus": {"mssa_sign": -1},
    "minus-identity": {"mssa_sign": -1, "mssa_output": "identity"},
    "minus-step": {"mssa_sign": -1, "mssa_step": 0.5},
    "normed-skip": {"mssa_skip": "normed"},
    "theory": {
        "mssa_output": "tied",
        "mssa_skip": "normed",
        "mssa_step": 0.5,
        "orthonormal_subspaces": True,
    },
    "without-self": {"attend_self": False},
    "ordinary-attention-without-self": {"attend_self": False, "compression": "attention"},
    "token-statistics": {"compression": "tssa"},
    "token-statistics-tied": {
        "compression": "tssa",
        "mssa_output": "tied",
        "mssa_sign": -1,
        "mssa_skip": "normed",
        "head_dim": 7,
    },
    "full-step": {"mssa_step": 1, "mssa_output": "identity"},
    "orthonormal": {"orthonormal_subspaces": True},
    "learned-scalars": {"learn_step_size": True, "learn_threshold": True},
    "soft-threshold": {"activation": "soft_threshold"},
    "soft-threshold-learned": {"activation": "soft_threshold", "learn_threshold": True},
    "orthogonal-dictionary": {"dictionary_init": "orthogonal", "step_size": 1.0},
    "two-products": {"ista_form": "tokens"},
    "one-product": {"ista_form": "gram"},
    "overcomplete": {"sparsification": "overcomplete"},
    "overcomplete-soft": {"sparsification": "overcomplete", "activation": "soft_threshold"},
    "alpha": {
        "sparsification": "overcomplete",
        "synthesis": "separate",
        "ista_residual": True,
        "ista_iterations": 3,
        "dictionary_ratio": 2,
        "learn_step_size": True,
        "mssa_output_bias": False,
        "patch_embedding": "conv",
    },
    "majorizer": {"sparsification": "majorizer"},
    "majorizer-learned-mean": {
        "sparsification": "majorizer",
        "learn_threshold": True,
        "pooling": "mean",
    },
    "linear": {"sparsification": "linear"},
    "mlp": {"sparsification": "mlp"},
    "attention-only": {"sparsification": "none"},
    "sparsification-only": {"compression": "none"},
    "ordinary-attention": {"compression": "attention"},
    "black-box": {"compression": "attention", "sparsification": "mlp", "pooling": "mean"},
}


def tiny_config(variant: str = "published", **overrides) -> CrateConfig:
    return CrateConfig(**SIZES | VARIANTS[variant] | overrides)


def tiny_model(variant: str = "published", **overrides) -> CrateForImageClassification:
    """A classifier in evaluation mode whose every parameter, norms included, is random."""
    torch.manual_seed(0)
    model = CrateForImageClassification(tiny_config(variant, **overrides)).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name or name.endswith("bias"):
                parameter.add_(0.2 * torch.randn_like(parameter))
    return model


def tiny_images(config: CrateConfig, batch: int = 2, seed: int = 0) -> torch.Tensor:
    """Images (batch, channels, height, width) of the configured size."""
    rows, columns = config.grid_size
    patch = config.patch_size
    tall, wide = (patch, patch) if isinstance(patch, int) else patch
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, config.num_channels, rows * tall, columns * wide, generator=generator)
