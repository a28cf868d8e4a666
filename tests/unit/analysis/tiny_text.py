"""Text models small enough to look into in milliseconds."""

from __future__ import annotations

import torch

from whitebox_transformers import (
    CrateBertConfig,
    CrateBertForMaskedLM,
    CrateGPTConfig,
    CrateGPTForCausalLM,
)

VOCABULARY, CONTEXT, PAD = 23, 12, 1


def tiny_crate_gpt(seed: int = 0, **changes) -> CrateGPTForCausalLM:
    return _drawn(CrateGPTForCausalLM, CrateGPTConfig, CONTEXT, seed, changes)


def tiny_crate_bert(seed: int = 0, kind=CrateBertForMaskedLM, **changes):
    fields = {"pad_token_id": PAD, "bos_token_id": None, "eos_token_id": None}
    return _drawn(kind, CrateBertConfig, CONTEXT + PAD + 1, seed, fields | changes)


def _drawn(kind, of_config, positions: int, seed: int, changes: dict):
    fields = {
        "vocab_size": VOCABULARY,
        "max_position_embeddings": positions,
        "hidden_size": 12,
        "num_hidden_layers": 3,
        "num_attention_heads": 3,
        "initializer_range": 0.3,
    }
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = kind(of_config(**fields | changes)).eval()
        for name, parameter in model.named_parameters():
            if "norm" in name or "window" in name:  # affine parts that differ from one and zero
                parameter.data.add_(0.2 * torch.randn_like(parameter))
    return model


def texts(count: int, length: int = CONTEXT, seed: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(VOCABULARY, (count, length), generator=generator)


def padded(sentences: list[torch.Tensor], side: str) -> dict[str, torch.Tensor]:
    """One batch of sentences (N,) of any lengths, filled up on one side."""
    longest = max(map(len, sentences))
    ids = torch.full((len(sentences), longest), PAD)
    mask = torch.zeros_like(ids)
    for row, sentence in enumerate(sentences):
        place = slice(0, len(sentence)) if side == "right" else slice(longest - len(sentence), None)
        ids[row, place], mask[row, place] = sentence, 1
    return {"input_ids": ids, "attention_mask": mask}


def sentences(*lengths: int) -> list[torch.Tensor]:
    """Texts without the padding token."""
    return [texts(1, n, seed=n)[0].clamp(min=PAD + 1) for n in lengths]
