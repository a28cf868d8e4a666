"""A folder with model and tokenizer is all that a pipeline needs."""

from __future__ import annotations

import pytest
import torch
from tests.contract.tiny_gpt import tiny_gpt
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast, pipeline

WORDS = ["<pad>", "the", "cat", "saw", "a", "dog", "and", "it", "ran"]
PROMPTS = ["the cat saw", "it", "a dog and the cat"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("model")
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="<pad>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<pad>", padding_side="left"
    ).save_pretrained(path)
    tiny_gpt("help", vocab_size=len(WORDS), pad_token_id=0).save_pretrained(path)
    return str(path)


def test_text_generation_alone_and_in_batches(folder: str) -> None:
    write = pipeline("text-generation", folder)
    options = {"max_new_tokens": 5, "do_sample": False, "return_full_text": False}
    alone = [write(prompt, **options)[0]["generated_text"] for prompt in PROMPTS]
    together = write(PROMPTS, batch_size=3, **options)
    assert [answer[0]["generated_text"] for answer in together] == alone
    assert all(set(text.split()) <= set(WORDS) for text in alone)


@torch.no_grad()
def test_features_are_the_last_hidden_states(folder: str) -> None:
    extract = pipeline("feature-extraction", folder)
    found = torch.tensor(extract(PROMPTS[0]))
    model = AutoModelForCausalLM.from_pretrained(folder)
    ids = torch.tensor([[WORDS.index(word) for word in PROMPTS[0].split()]])
    torch.testing.assert_close(found, model.crate(ids).last_hidden_state)
