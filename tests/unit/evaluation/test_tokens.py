"""Texts as tokens: what a vocabulary of characters lacks is named, whatever it lacks."""

from __future__ import annotations

import pytest
from tests.unit.evaluation.tiny_language import byte_level, framed
from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from whitebox_transformers.errors import UserError
from whitebox_transformers.evaluation.tokens import encoding_of, tokens_around
from whitebox_transformers.report.token_text import TokenText


def characters(alphabet: str) -> PreTrainedTokenizerFast:
    vocabulary = {character: number for number, character in enumerate(alphabet)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer)


def test_a_character_without_a_token_is_named():
    tokenizer = characters("xyz")
    assert encoding_of(tokenizer, "zx")["input_ids"] == [2, 0]
    with pytest.raises(UserError, match="no token for '~'"):
        encoding_of(tokenizer, "xy~")


def test_what_looks_like_a_special_token_is_one_only_where_a_person_means_it():
    tokenizer = byte_level(eos_token="<s>")
    spelt = encoding_of(tokenizer, "a<s>")["input_ids"]
    assert tokenizer.decode(spelt) == "a<s>"
    assert tokenizer.eos_token_id not in spelt
    assert encoding_of(tokenizer, "a<s>", special=True)["input_ids"] == [spelt[0], 0]
    assert encoding_of(tokenizer, "a<s>")["input_ids"] == spelt


def test_tokens_around_a_text_are_found_without_a_latin_letter():
    assert tokens_around(characters("xyz")) == ([], [])
    tokenizer = framed(byte_level(), "[CLS] $A [SEP]")
    first, last = tokenizer.convert_tokens_to_ids(["[CLS]", "[SEP]"])
    assert tokens_around(tokenizer) == ([first], [last])
    assert TokenText(characters("xyz")).name(1) == "␣y"  # without a decoder, words are spaced
