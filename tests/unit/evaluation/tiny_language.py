"""Language models and tokenizers small enough to score a text in milliseconds."""

from __future__ import annotations

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    BertConfig,
    BertForMaskedLM,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedTokenizerFast,
)

from whitebox_transformers.evaluation.language_model import LanguageModel

SENTENCE = "the cat sat on the mat and the dog lay under the ☃ with a crème brûlée"
SPECIALS = ["<s>", "[CLS]", "[SEP]", "[MASK]", "[PAD]", "[UNK]"]


def byte_level(**options) -> PreTrainedTokenizerFast:
    """Byte-level BPE with a few merges; no special tokens unless asked for."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, initial_alphabet=alphabet, special_tokens=SPECIALS, show_progress=False
    )
    tokenizer.train_from_iterator([SENTENCE] * 5, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **options)


def framed(tokenizer: PreTrainedTokenizerFast, template: str) -> PreTrainedTokenizerFast:
    """The tokenizer with special tokens around every text, e.g. ``[CLS] $A [SEP]``."""
    specials = [(name, tokenizer.convert_tokens_to_ids(name)) for name in SPECIALS]
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=template, special_tokens=specials
    )
    return tokenizer


def tiny_gpt2(tokenizer=None, seed: int = 0, **changes) -> LanguageModel:
    tokenizer = tokenizer or byte_level()
    fields = {
        "n_embd": 12,
        "n_layer": 2,
        "n_head": 3,
        "n_positions": 16,
        "vocab_size": len(tokenizer) + 4,
        "initializer_range": 0.3,
        "bos_token_id": None,
        "eos_token_id": None,
    }
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = GPT2LMHeadModel(GPT2Config(**fields | changes)).eval()
    return LanguageModel("tiny", model, tokenizer, "causal")


def tiny_bert(seed: int = 0) -> LanguageModel:
    tokenizer = framed(byte_level(mask_token="[MASK]", pad_token="[PAD]"), "[CLS] $A [SEP]")
    config = BertConfig(
        hidden_size=12,
        num_hidden_layers=2,
        num_attention_heads=3,
        intermediate_size=16,
        max_position_embeddings=16,
        vocab_size=len(tokenizer),
        initializer_range=0.3,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = BertForMaskedLM(config).eval()
    return LanguageModel("tiny-bert", model, tokenizer, "masked")
