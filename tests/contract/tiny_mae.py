"""The small masked autoencoders on which promises are tried."""

from __future__ import annotations

import torch
from tests.contract.tiny import SIZES

from whitebox_transformers.crate import CrateMAEConfig, CrateMAEForPreTraining

MAE_VARIANTS: dict[str, dict] = {
    "published": {},
    "efficient": {"mask_tokens": "decoder"},
    "normalised-half": {"norm_pix_loss": True, "mask_ratio": 0.5, "num_channels": 1},
    "other-decoder": {"decoder_num_hidden_layers": 1, "decoder_num_attention_heads": 2},
    "shared": {"decoder_dictionary": "encoder", "decoder_subspaces": "encoder"},
    "shared-transposed": {"decoder_dictionary": "transposed", "decoder_num_hidden_layers": 2},
    "theory": {
        "mssa_output": "tied",
        "mssa_step": 0.5,
        "orthonormal_subspaces": True,
        "decoder_subspaces": "encoder",
        "dictionary_init": "orthogonal",
    },
    "learned-positions-mean": {"position_embedding_type": "learned", "pooling": "mean"},
    "linear-patches": {"patch_embedding": "linear", "final_norm": False},
    "overcomplete": {"sparsification": "overcomplete"},
    "residual-decoder": {
        "sparsification": "overcomplete",
        "synthesis": "separate",
        "ista_residual": True,
        "decoder_sparsification": "overcomplete",
    },
    "ordinary-attention": {"compression": "attention"},
    "dictionaries-only": {"compression": "none"},
}


def tiny_mae(variant: str = "published", **overrides) -> CrateMAEForPreTraining:
    """A masked autoencoder in evaluation mode whose every parameter, norms included, is random."""
    torch.manual_seed(0)
    sizes = SIZES | {"hidden_size": 12}
    model = CrateMAEForPreTraining(CrateMAEConfig(**sizes | MAE_VARIANTS[variant] | overrides))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name or name.endswith("bias"):
                parameter.add_(0.2 * torch.randn_like(parameter))
    return model.eval()


def tiny_masked(config: CrateMAEConfig, batch: int = 2, seed: int = 0) -> dict[str, torch.Tensor]:
    """Images of the configured size and the noise that hides patches."""
    rows, columns = config.grid_size
    generator = torch.Generator().manual_seed(seed)
    size = (config.num_channels, rows * 4, columns * 4)
    return {
        "pixel_values": torch.randn(batch, *size, generator=generator),
        "noise": torch.rand(batch, rows * columns, generator=generator),
    }
