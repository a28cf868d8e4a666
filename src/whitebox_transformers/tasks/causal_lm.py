"""Causal language modelling: CRATE-GPT beside GPT-2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel

from whitebox_transformers.crate import GPT_PRESETS, CrateGPTConfig, CrateGPTForCausalLM
from whitebox_transformers.tasks.language_modelling import LanguageModelling
from whitebox_transformers.tasks.token_scores import BITS, LOSS, PERPLEXITY
from whitebox_transformers.training.families import Family


class CausalLM(LanguageModelling):
    """Predict each token from those before it."""

    name = "causal-lm"
    families = {
        "crate-gpt": Family(
            "CRATE-GPT", CrateGPTConfig, CrateGPTForCausalLM, GPT_PRESETS, white_box=True
        ),
        "gpt2": Family("GPT-2", GPT2Config, GPT2LMHeadModel),
    }
    auto_model = AutoModelForCausalLM
    scores = (LOSS, BITS, PERPLEXITY)
    compared = (("validation", LOSS), ("validation", BITS), ("validation", PERPLEXITY))
    learns = "causal"
    shifted = True
    # With a cache transformers would not see that documents are packed into one sequence.
    options = {"use_cache": False}
    pipeline = "text-generation"
    use = """\
from transformers import pipeline

write = pipeline("text-generation", "{folder}")
write("Once", max_new_tokens=50)"""
    protocol = (
        "Cross-entropy in nats per token over whole splits, in float32: every token but the first "
        "is\npredicted once, from the tokens before it in its block. Bits per byte of UTF-8 "
        "compare models\nof different tokenizers; perplexity is the exponential of the loss."
    )

    def limits(self, record: Mapping[str, Any]) -> str:
        """What the model does not do."""
        return (
            "it continues text in the manner of what it was trained on, true or not.\n"
            "It was not examined for bias and follows no instructions."
        )
