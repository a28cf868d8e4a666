"""Masked language modelling: CRATE-BERT beside BERT."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transformers import AutoModelForMaskedLM, BertConfig, BertForMaskedLM

from whitebox_transformers.crate import BERT_PRESETS, CrateBertConfig, CrateBertForMaskedLM
from whitebox_transformers.crate.places import first_position
from whitebox_transformers.tasks.language_modelling import LanguageModelling
from whitebox_transformers.tasks.task import Score
from whitebox_transformers.tasks.token_scores import BITS, LOSS, PERPLEXITY
from whitebox_transformers.training.families import Family

ACCURACY = Score(
    "accuracy",
    "masked accuracy",
    "share of hidden tokens found (0 to 1)",
    "{:.2%}",
    higher_is_better=True,
)


class MaskedLM(LanguageModelling):
    """Find the tokens that were hidden, from those on both sides."""

    name = "masked-lm"
    families = {
        "crate-bert": Family(
            "CRATE-BERT",
            CrateBertConfig,
            CrateBertForMaskedLM,
            BERT_PRESETS,
            white_box=True,
            first_position=first_position,
        ),
        "bert": Family("BERT", BertConfig, BertForMaskedLM),
    }
    auto_model = AutoModelForMaskedLM
    scores = (LOSS, ACCURACY, BITS, PERPLEXITY)
    compared = (
        ("validation", LOSS),
        ("validation", BITS),
        ("validation", PERPLEXITY),
        ("validation", ACCURACY),
    )
    learns = "masked"
    shifted = False
    pipeline = "fill-mask"
    use = """\
from transformers import pipeline

fill = pipeline("fill-mask", "{folder}")
fill(f"import {{fill.tokenizer.mask_token}}")"""
    protocol = (
        "Cross-entropy in nats per hidden token over whole splits, in float32; which tokens are "
        "hidden\nis drawn once and is the same for every model. Bits per byte divide by the "
        "UTF-8 bytes of the\nhidden tokens; perplexity is the exponential of the loss. Neither "
        "compares with a causal model,\nwhich sees one side only."
    )

    def limits(self, record: Mapping[str, Any]) -> str:
        """What the model does not do."""
        return (
            "it fills gaps in the manner of what it was trained on, true or not.\n"
            "It was not examined for bias."
        )
