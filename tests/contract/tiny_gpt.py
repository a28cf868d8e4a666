"""The small causal language models on which every promise to Hugging Face users is tried."""

from __future__ import annotations

import torch

from whitebox_transformers.crate import CrateGPTConfig, CrateGPTForCausalLM

SIZES = {
    "vocab_size": 29,
    "max_position_embeddings": 40,
    "hidden_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
}
HELP = {"position_embedding_type": "rotary", "window": 3, "attend_self": False, "final_norm": True}
TOKEN_STATISTICS_HELP = {
    "compression": "tssa",
    "membership_bias": True,
    "position_embedding_type": "none",
    "window": 3,
    "window_at": "both",
    "final_norm": True,
}
BLACK_BOX = {"compression": "attention", "sparsification": "mlp", "final_norm": True}

# One entry for every choice that a language model adds, and the combinations that meet in a layer.
VARIANTS: dict[str, dict] = {
    "published": {},
    "crate-lm": {"sparsification": "overcomplete", "final_norm": True},
    "alpha": {
        "sparsification": "overcomplete",
        "synthesis": "separate",
        "ista_residual": True,
        "ista_iterations": 3,
        "mssa_output_bias": False,
        "final_norm": True,
    },
    "attention-only": {"sparsification": "none", "final_norm": True},
    "final-norm": {"final_norm": True},
    "rotary": {"position_embedding_type": "rotary"},
    "rotary-wide-heads": {"position_embedding_type": "rotary", "head_dim": 6, "rope_theta": 50.0},
    "no-positions": {"position_embedding_type": "none"},
    "window": {"window": 3},
    "wide-window": {"window": 5, "position_embedding_type": "none"},
    "two-windows": {"window": 3, "window_at": "both"},
    "without-self": {"attend_self": False},
    "help": HELP,
    "help-overcomplete": HELP | {"sparsification": "overcomplete"},
    "lag": {"key_lag": 1},
    "lags": {"key_lag": [0, 1, 3], "position_embedding_type": "none"},
    "lag-help": HELP | {"key_lag": [2, 0, 1], "window_at": "both"},
    "tied-minus": {"mssa_output": "tied", "mssa_sign": -1},
    "untied-words": {"tie_word_embeddings": False},
    "token-statistics": {"compression": "tssa"},
    "token-statistics-help": TOKEN_STATISTICS_HELP,
    "black-box": BLACK_BOX,
    "black-box-help": BLACK_BOX | HELP | {"key_lag": [1, 0, 2], "window_at": "both"},
}
# As the oracle calls them.
ORACLE: dict[str, dict] = {
    "alpha": {"steps": 3, "residual": True},
    "rotary": {"theta": 10000.0},
    "rotary-wide-heads": {"theta": 50.0},
    "without-self": {"attend_self": False},
    "help": {"theta": 10000.0, "attend_self": False},
    "help-overcomplete": {"theta": 10000.0, "attend_self": False},
    "lag": {"lags": [1, 1, 1]},
    "lags": {"lags": [0, 1, 3]},
    "lag-help": {"theta": 10000.0, "attend_self": False, "lags": [2, 0, 1]},
    "tied-minus": {"gain": -1.0},
    "black-box-help": {"theta": 10000.0, "attend_self": False, "lags": [1, 0, 2]},
}


def tiny_config(variant: str = "published", **overrides) -> CrateGPTConfig:
    return CrateGPTConfig(**SIZES | VARIANTS[variant] | overrides)


def tiny_gpt(variant: str = "published", seed: int = 0, **overrides) -> CrateGPTForCausalLM:
    """A model in evaluation mode whose every part matters: fresh weights would be too small."""
    torch.manual_seed(seed)
    model = CrateGPTForCausalLM(tiny_config(variant, **overrides)).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name or name.endswith("bias"):
                parameter.add_(0.2 * torch.randn_like(parameter))
            elif "dictionary" not in name and "synthesis" not in name:
                parameter.copy_(torch.randn_like(parameter) * parameter.shape[-1] ** -0.5)
            if "word_embeddings" in name:
                parameter.mul_(3)
    return model


def tiny_text(batch: int = 2, count: int = 9, seed: int = 0) -> torch.Tensor:
    """Token ids (batch, count)."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(SIZES["vocab_size"], (batch, count), generator=generator)
