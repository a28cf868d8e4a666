"""Generation is Hugging Face's; what is asked of it, and what is refused before, is ours."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tests.unit.analysis.tiny_text import tiny_crate_gpt
from tests.unit.evaluation.tiny_language import byte_level, framed, tiny_bert, tiny_gpt2

from whitebox_transformers.data.text import TokenizerConfig
from whitebox_transformers.data.text.tokenizer import train_tokenizer
from whitebox_transformers.errors import UserError
from whitebox_transformers.evaluation.generate import (
    Sampling,
    generate,
    generate_batch,
    prepare_prompt,
)


def test_greedy_takes_the_most_probable_token_each_time():
    language = tiny_gpt2()
    prompt = prepare_prompt(language, "the cat", 5)
    tokens = prompt.tokens
    for _ in range(5):
        with torch.no_grad():
            best = language.model(input_ids=tokens).logits[:, -1].argmax(-1)
        tokens = torch.cat([tokens, best[:, None]], 1)
    expected = language.tokenizer.decode(tokens[0, -5:], skip_special_tokens=True)
    assert generate(language, prompt, Sampling(greedy=True)) == expected
    # The only token of the top 1, and of the smallest nucleus, is the greedy one.
    assert generate(language, prompt, Sampling(top_k=1)) == expected
    assert generate(language, prompt, Sampling(top_p=1e-9)) == expected


@pytest.mark.parametrize("kind", ["gpt2", "crate-gpt"])
def test_prompts_of_different_lengths_go_on_as_each_would_alone(kind):
    language = tiny_gpt2()
    if kind == "crate-gpt":
        size = language.model.config.vocab_size
        language = replace(
            language, model=tiny_crate_gpt(vocab_size=size, max_position_embeddings=16)
        )
    texts = ("the cat sat on the mat", "a", "the dog lay")
    prompts = [prepare_prompt(language, text, 6) for text in texts]
    alone = [generate(language, prompt, Sampling(greedy=True)) for prompt in prompts]
    assert generate_batch(language, prompts, Sampling(greedy=True)) == alone
    assert len(set(alone)) == 3
    roomy = [prepare_prompt(language, text) for text in texts]  # as much as fits the longest
    together = generate_batch(language, roomy, Sampling(greedy=True))
    assert generate(language, roomy[0], Sampling(greedy=True)) == together[0]


def test_what_follows_joins_the_prompt_where_white_space_is_no_token():
    texts = ("the cat sat on the mat", "the dog lay")
    words = TokenizerConfig(kind="words", min_frequency=1)
    tokenizer = train_tokenizer(words, "causal", texts, set(), True, 16)
    language = tiny_gpt2(tokenizer)
    prompts = [prepare_prompt(language, text, 3) for text in texts]
    for prompt, made in zip(prompts, generate_batch(language, prompts), strict=True):
        before = tokenizer.decode(prompt.tokens[0])
        assert set((before + made).split()) <= set(tokenizer.get_vocab())


def test_the_seed_decides_and_the_caller_s_random_state_is_left():
    language = tiny_gpt2()
    prompt = prepare_prompt(language, "the cat", 12)
    before = torch.get_rng_state()
    first, again, other = (generate(language, prompt, Sampling(5.0, seed=s)) for s in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert first == again != other


def test_what_the_model_folder_proposes_does_not_leak_in():
    language = tiny_gpt2()
    language.model.generation_config.top_k = 1
    prompt = prepare_prompt(language, "the cat", 12)
    drawn = {generate(language, prompt, Sampling(5.0, seed=seed)) for seed in range(3)}
    assert len(drawn) == 3


def test_generation_ends_at_the_end_of_text():
    language = tiny_gpt2(byte_level(eos_token="<s>"))
    language.model.lm_head.weight.data.zero_()  # every token alike: the first, <s>, is taken
    assert generate(language, prepare_prompt(language, "the cat", 9), Sampling(greedy=True)) == ""


def test_prompts_fit_with_what_follows_them():
    language = tiny_gpt2()  # reads 16 tokens
    words = "the cat sat on the mat"
    count = len(language.tokenizer(words)["input_ids"])
    assert prepare_prompt(language, words).new_tokens == 16 - count
    exact = prepare_prompt(language, words, 16 - count)
    assert (exact.tokens.shape, exact.cut) == ((1, count), 0)
    with pytest.raises(UserError, match=f"at most {16 - count} new ones fit .* not {17 - count}"):
        prepare_prompt(language, words, 17 - count)
    cut = prepare_prompt(language, words, 17 - count, truncate=True)
    assert (cut.tokens.shape, cut.cut) == ((1, count - 1), 1)
    assert torch.equal(cut.tokens, exact.tokens[:, 1:])
    with pytest.raises(UserError, match="reads 16 at once, one of them to come; shorten it"):
        prepare_prompt(language, words * 5)
    assert prepare_prompt(language, words * 5, truncate=True).new_tokens == 1
    with pytest.raises(UserError, match="leave no room for a prompt"):
        prepare_prompt(language, words, 16, truncate=True)


def test_an_empty_prompt_is_refused_and_a_token_that_begins_or_ends_texts_will_do():
    with pytest.raises(UserError, match=r"prompt is empty; give at least one token$"):
        prepare_prompt(tiny_gpt2(), "")
    for options in ({"bos_token": "[CLS]", "eos_token": "[SEP]"}, {"eos_token": "[CLS]"}):
        language = tiny_gpt2(byte_level(**options))
        with pytest.raises(UserError, match=r"empty; give .* or '\[CLS\]' alone"):
            prepare_prompt(language, "")
        assert prepare_prompt(language, "[CLS]").tokens.tolist() == [[1]]
    opened = tiny_gpt2(framed(byte_level(), "<s> $A"))
    with pytest.raises(UserError, match="prompt is empty"):
        prepare_prompt(opened, "")
    assert prepare_prompt(opened, "the").tokens[0, 0] == 0


def test_requests_without_sense_are_named():
    with pytest.raises(UserError, match="fills gaps"):
        prepare_prompt(tiny_bert(), "the")
    with pytest.raises(UserError, match="0 tokens were asked for"):
        prepare_prompt(tiny_gpt2(), "the", 0)
    for options, message in (
        ({"temperature": 0.0}, "temperature=0.0 .* choose greedy"),
        ({"temperature": float("nan")}, "temperature"),
        ({"top_k": 0}, "top_k=0"),
        ({"top_p": 1.5}, "top_p=1.5"),
    ):
        with pytest.raises(UserError, match=message):
            Sampling(**options)
