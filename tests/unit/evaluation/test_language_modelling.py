"""Scores of texts equal those of one forward pass for every prediction."""

from __future__ import annotations

import math
import re

import pytest
import torch
from tests.oracles.language_scores import causal_nats, pseudo_log_likelihood_nats
from tests.unit.data.text.conftest import build
from tests.unit.evaluation.tiny_language import SENTENCE, byte_level, framed, tiny_bert, tiny_gpt2
from tokenizers.pre_tokenizers import ByteLevel
from transformers import PreTrainedTokenizerFast

from whitebox_transformers.data.text.documents import Text
from whitebox_transformers.data.text.encode import Encoder
from whitebox_transformers.errors import UserError
from whitebox_transformers.evaluation import token_losses
from whitebox_transformers.evaluation.encoded_text import encode
from whitebox_transformers.evaluation.language_model import LanguageModel
from whitebox_transformers.evaluation.language_modelling import score_texts
from whitebox_transformers.evaluation.texts import Texts, read_texts

TEXTS = [SENTENCE * 2, "the cat", "on the mat, on the mat", SENTENCE]


def texts(*given: str) -> Texts:
    return Texts(list(given), [], "a text is a text")


def numbers(language: LanguageModel, text: str) -> list[int]:
    return language.tokenizer(text, add_special_tokens=False)["input_ids"]


@pytest.mark.parametrize(("context", "stride"), [(16, 8), (16, 16), (16, 1), (5, 3), (1, 1)])
def test_causal_losses_are_those_of_single_predictions(context, stride):
    language = tiny_gpt2()
    tokens = [torch.tensor(numbers(language, text)) for text in TEXTS]
    with torch.inference_mode():
        losses = token_losses.causal_losses(language.model, tokens, context, stride)
    for loss, text in zip(losses, tokens, strict=True):
        expected = causal_nats(language.model, text.tolist(), context, stride)
        assert loss.nats.tolist() == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_batches_change_nothing(monkeypatch):
    language = tiny_gpt2()
    together = score_texts(language, texts(*TEXTS))
    monkeypatch.setattr(token_losses, "MOST_ROWS", 1)
    alone = score_texts(language, texts(*TEXTS))
    assert together == pytest.approx(alone, rel=1e-6)


def test_totals_follow_from_the_losses():
    language = tiny_gpt2()
    scores = score_texts(language, texts(*TEXTS, "a"), context=9, stride=4)
    nats, tokens, size, words = 0.0, 0, 0, 0
    for text in TEXTS:
        ids = numbers(language, text)
        nats += sum(causal_nats(language.model, ids, 9, 4))
        tokens += len(ids) - 1
        rest = text[len(language.tokenizer.decode(ids[:1])) :]
        size += len(rest.encode())
        words += len(re.findall(r"\S+", rest))
    assert scores["tokens"] == tokens
    assert (scores["bytes"], scores["words"]) == (size, words)
    assert scores["texts"] == len(TEXTS)
    assert scores["texts_left_out"] == 1
    assert scores["unknown_tokens"] == 0
    assert scores["nats_per_token"] == pytest.approx(nats / tokens, rel=1e-5)
    assert scores["perplexity"] == pytest.approx(math.exp(nats / tokens), rel=1e-4)
    assert scores["word_perplexity"] == pytest.approx(math.exp(nats / words), rel=1e-4)
    assert scores["nats_per_byte"] == pytest.approx(nats / size, rel=1e-5)
    assert scores["bits_per_byte"] == pytest.approx(nats / size / math.log(2), rel=1e-5)


def test_a_model_that_knows_nothing_needs_log_of_its_vocabulary():
    language = tiny_gpt2()
    language.model.lm_head.weight.data.zero_()
    scores = score_texts(language, texts(SENTENCE))
    assert scores["nats_per_token"] == pytest.approx(math.log(language.model.config.vocab_size))


def test_an_opening_token_lets_the_first_token_be_predicted():
    plain, opening = tiny_gpt2(), tiny_gpt2(framed(byte_level(), "<s> $A"))
    ids = numbers(plain, SENTENCE)
    scores = score_texts(opening, texts(SENTENCE))
    assert scores["tokens"] == len(ids)
    assert scores["bytes"] == len(SENTENCE.encode())
    expected = causal_nats(opening.model, [0, *ids], 16, 8)
    assert scores["nats_per_token"] == pytest.approx(sum(expected) / len(ids), rel=1e-5)


@pytest.mark.parametrize("crossing", [True, False])
def test_a_file_with_a_separator_is_read_as_in_training(tmp_path, crossing):
    """What ends a line is an end token, and no text holds one, whatever it says."""
    path = tmp_path / "lines.txt"
    path.write_text("the cat\n\nété <|endoftext|> ☃\n☃ mat\n a", encoding="utf-8")
    keys = {"separator": "\n", "cross_documents": crossing, "validation_path": str(path)}
    data = build(path, "bytes", context=9, test_share=0.0, **keys)
    assert isinstance(data.tokenizer, PreTrainedTokenizerFast)
    language = tiny_gpt2(data.tokenizer, eos_token_id=data.tokenizer.eos_token_id)
    samples = [data.validation[index] for index in range(len(data.validation))]
    nats, tokens = 0.0, 0
    for sample in samples:
        labels = sample.pop("labels")
        batch = {key: value[None] for key, value in sample.items()}
        with torch.no_grad():
            logits = language.model(**batch, use_cache=False).logits[0, :-1].double()
        seen = labels[1:] != -100
        nats -= logits.log_softmax(-1)[seen].gather(1, labels[1:][seen, None]).sum().item()
        tokens += int(seen.sum())
    given = read_texts([path], separator="\n", together=crossing)
    scores = score_texts(language, given, context=8, stride=8)  # blocks overlap by one token
    if crossing:
        assert scores["nats_per_token"] == pytest.approx(nats / tokens, rel=1e-5)
    assert scores["tokens"] == tokens == data.validation.targets
    assert scores["bytes"] == data.validation.bytes


def test_of_a_split_character_the_bytes_that_are_predicted_count():
    language = tiny_gpt2()
    for text, unread in (("☃ the", 2), ("été", 1), ("the ☃", 3)):
        assert encode(language, text).bytes == len(text.encode()) - unread
    spaced = tiny_gpt2(byte_level())
    spaced.tokenizer.backend_tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=True)
    for text, unread in (("☃ the", 2), ("été", 0), ("the ☃", 3), (" the ☃", 4)):
        assert encode(spaced, text).bytes == len(text.encode()) - unread
        (encoded,) = Encoder(spaced.tokenizer).encode([Text("a", text, 0)])
        assert encoded.first_bytes == unread


def test_texts_follow_each_other_only_where_something_ends_them():
    joined = Texts(["the", "cat"], [], "", together=True)
    for language, said in ((tiny_gpt2(), "no end token"), (tiny_bert(), "is a masked language")):
        with pytest.raises(UserError, match=said):
            score_texts(language, joined)


@pytest.mark.parametrize(("context", "stride"), [(16, 14), (16, 5), (7, 4)])
def test_hiding_tokens_one_by_one_is_the_pseudo_log_likelihood(context, stride):
    language = tiny_bert()
    scores = score_texts(language, texts(*TEXTS), context, stride, masked_share=0)
    before, after = language.opening, language.closing
    mask = language.tokenizer.mask_token_id
    nats = []
    for text in TEXTS:
        nats += pseudo_log_likelihood_nats(
            language.model, numbers(language, text), before, after, mask, context - 2, stride
        )
    assert scores["tokens"] == len(nats)
    assert scores["bytes"] == sum(len(text.encode()) for text in TEXTS)
    assert scores["nats_per_token"] == pytest.approx(sum(nats) / len(nats), rel=1e-5)


def test_tokens_hidden_together_cover_the_window_and_depend_on_the_seed():
    language, seen = tiny_bert(), []
    handle = language.model.register_forward_pre_hook(
        lambda _, __, inputs: seen.append(inputs["input_ids"]), with_kwargs=True
    )
    score_texts(language, texts(SENTENCE), stride=14, masked_share=0.25)
    first, seen = seen, []
    score_texts(language, texts(SENTENCE), stride=14, masked_share=0.25, seed=1)
    handle.remove()
    hidden = first[0] == language.tokenizer.mask_token_id
    assert hidden.shape == (4, 16)
    assert hidden.sum(0).tolist() == [0, *[1] * 14, 0]
    assert {3, 4} == set(hidden.sum(1).tolist())
    assert any(not torch.equal(a, b) for a, b in zip(first, seen, strict=True))


def greedy_is_right(language: LanguageModel, passage: str) -> bool:
    """The last word of a passage against greedy decoding from what stands before it."""
    before = passage.rpartition(" ")[0]
    prompt, wanted = numbers(language, before), numbers(language, passage)
    assert wanted[: len(prompt)] == prompt
    while len(prompt) < len(wanted):
        with torch.no_grad():
            logits = language.model(input_ids=torch.tensor([prompt[-16:]])).logits
        prompt = [*prompt, int(logits[0, -1].argmax())]
    return prompt == wanted


def test_last_words_are_right_where_greedy_decoding_finds_them():
    language = tiny_gpt2(initializer_range=0.1)
    learned = torch.tensor([numbers(language, "on the mat lay a crème")])
    optimizer = torch.optim.Adam(language.model.parameters(), lr=0.03)
    for _ in range(60):
        optimizer.zero_grad()
        language.model(input_ids=learned, labels=learned).loss.backward()
        optimizer.step()
    passages = ["on the mat", "on the dog", "on the mat lay a crème", "on the mat lay a crêpe"]
    right = [greedy_is_right(language, passage) for passage in passages]
    assert right == [True, False, True, False]
    for passage, expected in zip(passages, right, strict=True):
        scores = score_texts(language, texts(f" {passage}\n"), last_words=True)
        assert scores["last_word_accuracy"] == expected
        rest = len(numbers(language, passage.rpartition(" ")[0]))
        word = causal_nats(language.model, numbers(language, passage), 16, 8)[rest - 1 :]
        assert scores["last_word_perplexity"] == pytest.approx(math.exp(sum(word)), rel=1e-4)
    scores = score_texts(language, texts(*passages), last_words=True)
    assert scores["last_word_accuracy"] == 0.5


def test_the_last_word_has_the_tokens_that_spell_it():
    language = tiny_gpt2()
    for passage, word in (("the cat sat on", " on"), ("on the ☃☃", " ☃☃"), ("mat  xyz.", "xyz.")):
        encoded = encode(language, passage, last_word=True)
        tail = encoded.tokens[-encoded.last_word :]
        assert language.tokenizer.decode(tail) == word


def test_requests_that_do_not_fit_are_named():
    language = tiny_gpt2()
    for options, message in (
        ({"context": 17}, "17 tokens is more than tiny reads at once; choose at most 16"),
        ({"context": 8, "stride": 9}, "stride of 9 does not fit a context of 8"),
        ({"stride": 0}, "stride of 0"),
        ({"context": 0}, "too short; choose 1"),
        ({"masked_share": 1.5}, "masked_share=1.5"),
    ):
        with pytest.raises(UserError, match=message):
            score_texts(language, texts(SENTENCE), **options)
    with pytest.raises(UserError, match=r"text 1 of 1 \('a'\) is too short: 1 token where 2"):
        score_texts(language, texts("a"))
    with pytest.raises(UserError, match=r"text 2 of 2 \('cat'\)"):
        score_texts(language, texts(SENTENCE, "cat"), last_words=True)
    with pytest.raises(UserError, match="sees both sides"):
        score_texts(tiny_bert(), texts(SENTENCE), last_words=True)
    with pytest.raises(UserError, match="choose 3 or more"):
        score_texts(tiny_bert(), texts(SENTENCE), context=2)
    with pytest.raises(UserError, match="8 tokens, 2 of them special: choose 1 to 6"):
        score_texts(tiny_bert(), texts(SENTENCE), context=8, stride=7)


def test_broken_weights_are_said():
    language = tiny_gpt2()
    language.model.transformer.wte.weight.data[3] = torch.nan
    with pytest.raises(UserError, match="not finite"):
        score_texts(language, texts(SENTENCE))
