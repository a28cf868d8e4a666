"""Text models small enough to look into in milliseconds."""

from __future__ import annotations

import torch

from whitebox_transformers import CrateGPTConfig, CrateGPTForCausalLM

VOCABULARY, CONTEXT = 23, 12


def tiny_crate_gpt(seed: int = 0, **changes) -> CrateGPTForCausalLM:
    fields = {
        "vocab_size": VOCABULARY,
        "max_position_embeddings": CONTEXT,
        "hidden_size": 12,
        "num_hidden_layers": 3,
        "num_attention_heads": 3,
        "initializer_range": 0.3,
    }
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = CrateGPTForCausalLM(CrateGPTConfig(**fields | changes)).eval()
        for name, parameter in model.named_parameters():
            if "norm" in name:  # affine parts that differ from one and zero
                parameter.data.add_(0.2 * torch.randn_like(parameter))
    return model


def texts(count: int, length: int = CONTEXT, seed: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(VOCABULARY, (count, length), generator=generator)
