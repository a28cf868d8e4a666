"""The sizes that the papers name, as fields of ``CrateConfig``."""


def _crate(width: int, depth: int, heads: int, patch: int) -> dict:
    return {
        "hidden_size": width,
        "num_hidden_layers": depth,
        "num_attention_heads": heads,
        "patch_size": patch,
    }


def _crate_alpha(width: int, depth: int, heads: int, patch: int) -> dict:
    return _crate(width, depth, heads, patch) | {
        "patch_embedding": "conv",
        "layer_norm_eps": 1e-6,
        "mssa_output_bias": False,
        "sparsification": "overcomplete",
        "dictionary_ratio": 4,
        "ista_iterations": 2,
        "synthesis": "separate",
        "ista_residual": True,
        "position_init_std": 0.02,
    }


# Supervised sizes: arXiv 2311.13110 (patch 16); patch 8 follows the segmentation paper
# arXiv 2308.16271, whose names are ViT's; CRATE-alpha: arXiv 2405.20299.
PRESETS: dict[str, dict] = {
    "crate-tiny": _crate(384, 12, 6, 16),
    "crate-small": _crate(576, 12, 12, 16),
    "crate-base": _crate(768, 12, 12, 16),
    "crate-large": _crate(1024, 24, 16, 16),
    "crate-tiny-patch8": _crate(192, 12, 3, 8),
    "crate-small-patch8": _crate(384, 12, 6, 8),
    "crate-base-patch8": _crate(768, 12, 12, 8),
    "crate-alpha-tiny": _crate_alpha(192, 12, 3, 16),
    "crate-alpha-small": _crate_alpha(576, 12, 12, 16),
    "crate-alpha-base": _crate_alpha(768, 12, 12, 16),
    "crate-alpha-large-patch14": _crate_alpha(1024, 24, 16, 14),
}
