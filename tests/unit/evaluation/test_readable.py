"""What a person reads of tokens: the text, and where a word was unknown."""

from __future__ import annotations

import torch
from transformers import TextStreamer

from whitebox_transformers.data.text import TokenizerConfig
from whitebox_transformers.data.text.tokenizer import train_tokenizer
from whitebox_transformers.evaluation.readable import Readable


def test_an_unknown_word_is_shown_and_the_end_of_a_text_is_not():
    words = TokenizerConfig(kind="words", min_frequency=1)
    texts = ("the cat sat", "the dog lay")
    tokenizer = train_tokenizer(words, "causal", texts, set(), True, 16)
    tokens = tokenizer("the zebra sat")["input_ids"]
    assert Readable(tokenizer).decode([*tokens, tokenizer.eos_token_id]) == "the <unk> sat"


def test_a_tokenizer_that_calls_its_end_unknown_hides_it():
    tokenizer = train_tokenizer(TokenizerConfig(kind="bytes"), "causal", (), set(), True, 16)
    tokenizer.unk_token = tokenizer.eos_token
    tokens = tokenizer("the cat")["input_ids"]
    assert Readable(tokenizer).decode([*tokens, tokenizer.eos_token_id]) == "the cat"


def test_what_is_streamed_is_the_text_line_by_line(capsys):
    tokenizer = train_tokenizer(TokenizerConfig(kind="bytes"), "causal", (), set(), True, 16)
    text = "the cat\nsat\n\n  there"
    streamer = TextStreamer(Readable(tokenizer))
    for token in [*tokenizer(text)["input_ids"], tokenizer.eos_token_id]:
        streamer.put(torch.tensor([token]))
    streamer.end()
    assert capsys.readouterr().out == text + "\n"
