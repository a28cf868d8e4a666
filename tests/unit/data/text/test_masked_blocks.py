"""Blocks for masked models: what is chosen, what hides it, and that documents stay apart."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import BertConfig, BertForMaskedLM

from whitebox_transformers import CrateBertConfig, CrateBertForMaskedLM
from whitebox_transformers.data.text.masked import Masker
from whitebox_transformers.data.text.masking import choose_words
from whitebox_transformers.errors import UserError

from .conftest import build, write_folder
from .test_tokenizers import tokenizer_of

IGNORED = -100
TOKENIZER = tokenizer_of("bytes", "masked")  # <s> 0, <pad> 1, </s> 2, <mask> 3, then the bytes
SPECIAL = {0, 1, 2, 3}


@pytest.fixture
def texts(tmp_path):
    return write_folder(tmp_path / "texts", [60, 1, 2, 90, 3, 120, 5, 80, 70] * 2)


def masked(path, **keys):
    if path.is_dir():
        keys = {"validation_share": 0.4} | keys
    keys = {"kind": "bytes", "objective": "masked", "context": 32, "test_share": 0} | keys
    return build(path, **keys)


def restored(sample) -> list[int]:
    """The tokens of the text: what is to be predicted put back, the frame taken off."""
    ids, labels = sample["input_ids"], sample["labels"]
    whole = torch.where(labels == IGNORED, ids, labels).tolist()
    assert (whole[0], whole[-1]) == (0, 2)
    assert labels[0] == labels[-1] == IGNORED
    return whole[1:-1]


@pytest.mark.parametrize("whole_words", [False, True])
def test_blocks_are_the_corpus_and_special_tokens_are_never_chosen(texts, whole_words):
    data = masked(texts, mask_whole_words=whole_words, mask_share=0.4)
    corpus = data.validation.corpus.tokens.tolist()
    found = []
    for index in range(len(data.validation)):
        sample = data.validation[index]
        labels = sample["labels"][sample["labels"] != IGNORED].tolist()
        assert not set(labels) & SPECIAL
        found.append(restored(sample))
    *blocks, last = found
    joined = [token for block in blocks for token in block]
    rest = len(corpus) - len(joined)
    assert joined + last[-rest:] == corpus
    assert last == corpus[-30:]
    repeated = data.validation[len(blocks)]["labels"][1 : 31 - rest]
    assert (repeated == IGNORED).all()


def test_training_blocks_hold_every_token_once_and_differ_between_epochs(texts):
    data = masked(texts, mask_share=0.9)
    tokens = data.train.corpus.tokens.tolist()
    epochs = []
    for epoch in range(3):
        samples = [data.train[epoch, index] for index in range(len(data.train))]
        joined = [token for sample in samples for token in restored(sample)][: len(tokens)]
        place = next(i for i in range(len(tokens)) if tokens[i:] + tokens[:i] == joined)
        epochs.append((place, [sample["labels"].tolist() for sample in samples]))
        again = data.train[epoch, 1]
        assert all(torch.equal(again[key], samples[1][key]) for key in again)
    assert epochs[0] != epochs[1] != epochs[2]


def test_validation_masks_depend_on_the_split_seed_alone(texts):
    splits = [masked(texts, seed=seed).validation for seed in (0, 1)]
    other = masked(texts, split_seed=0, seed=2).validation
    for index in range(len(splits[0])):
        for split in (splits[1], other):
            assert torch.equal(split[index]["input_ids"], splits[0][index]["input_ids"])
        assert torch.equal(splits[0][5, index]["labels"], splits[0][index]["labels"])
    trained = [masked(texts, seed=seed).train[0, 0]["labels"] for seed in (0, 1)]
    assert not torch.equal(*trained)


def test_shares_are_those_of_bert(texts):
    data = masked(texts, context=130)
    fates = Counter()
    for epoch in range(60):
        for index in range(len(data.train)):
            sample = data.train[epoch, index]
            labels, ids = sample["labels"], sample["input_ids"]
            places = labels != IGNORED
            if index < len(data.train) - 1:  # the last one repeats what the first holds
                candidates = sum(token not in SPECIAL for token in restored(sample))
                assert int(places.sum()) == round(0.15 * candidates)
            for token, label in zip(ids[places].tolist(), labels[places].tolist(), strict=True):
                assert token not in SPECIAL - {3}
                fates["mask" if token == 3 else "same" if token == label else "other"] += 1
    total = sum(fates.values())
    assert total > 5000
    assert fates["mask"] / total == pytest.approx(0.8, abs=0.02)
    assert fates["other"] / total == pytest.approx(0.1 * 255 / 256, abs=0.015)
    assert fates["same"] / total == pytest.approx(0.1, abs=0.015)


@given(
    st.lists(st.integers(1, 5), min_size=1, max_size=20),
    st.floats(0.05, 0.95),
    st.data(),
)
def test_whole_words_are_chosen_whole(sizes, share, data):
    starts = torch.cat([torch.tensor([True] + [False] * (size - 1)) for size in sizes])
    word = starts.cumsum(0)
    candidates = torch.tensor(data.draw(st.lists(st.booleans(), min_size=len(starts),
                                                 max_size=len(starts))))  # fmt: skip
    chosen = choose_words(candidates, starts, share, torch.Generator().manual_seed(0))
    for number in range(1, len(sizes) + 1):
        inside = chosen[word == number]
        assert inside.all() or not inside.any()
        if inside.any():
            assert candidates[word == number].all()
    eligible = [s for n, s in enumerate(sizes, 1) if candidates[word == n].all()]
    if eligible:
        limit = max(1, round(share * int(candidates.sum())))
        count = int(chosen.sum())
        assert 0 < count <= max(limit, max(eligible))
        assert count >= min(limit, sum(eligible)) - max(eligible) + 1 or count >= min(eligible)


def test_words_are_those_of_the_tokenizer(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("Rate reduction codes tokens; it's 12 bits.\n" * 40, encoding="utf-8")
    data = masked(path, kind="bytes", mask_whole_words=True, context=50)
    corpus = data.train.corpus
    names = data.tokenizer.convert_ids_to_tokens(corpus.tokens.tolist()[:42])
    words, starts = [], corpus.word_starts.tolist()
    for name, start in zip(names, starts, strict=False):
        words = [*words, name] if start else [*words[:-1], words[-1] + name]
    assert words == [
        "Rate",
        "Ġreduction",
        "Ġcodes",
        "Ġtokens",
        ";",
        "Ġit",
        "'s",
        "Ġ12",
        "Ġbits",
        ".",
    ]
    with pytest.raises(UserError, match="mask_whole_words=true needs a tokenizer that splits"):
        masked(path, kind="characters", mask_whole_words=True)


def test_targets_and_bytes_count_what_is_predicted(texts):
    validation = masked(texts, context=16).validation
    labels = torch.cat([validation[i]["labels"] for i in range(len(validation))])
    # Each token of this tokenizer is a byte.
    assert validation.targets == validation.bytes == int((labels != IGNORED).sum())
    characters = masked(texts, kind="characters", context=16).validation
    labels = torch.cat([characters[i]["labels"] for i in range(len(characters))])
    text = characters.samples.masker.tokenizer.decode(labels[labels != IGNORED])
    assert characters.bytes == len(text.encode())
    assert characters.targets == len(text)


SIZES = {"vocab_size": 300, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
         "max_position_embeddings": 40}  # fmt: skip
WIDENED = {"position_embedding_type": "rotary", "window": 3, "window_at": "both"}
MODELS = {
    "bert": lambda **more: BertForMaskedLM(BertConfig(intermediate_size=16, **more)),
    "crate": lambda **more: CrateBertForMaskedLM(CrateBertConfig(pad_token_id=1, **more)),
    "crate, widened": lambda **more: CrateBertForMaskedLM(
        CrateBertConfig(pad_token_id=1, **WIDENED, **more)
    ),
}


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("family", MODELS)
def test_no_token_attends_across_documents(texts, family, attention):
    """Each document inside a block gets the logits that it gets alone."""
    torch.manual_seed(0)
    model = MODELS[family](attn_implementation=attention, **SIZES).eval()
    for weight in model.parameters():  # some begin as zero, where they would hide what they see
        torch.nn.init.normal_(weight, std=0.3)
    split = masked(texts, cross_documents=False).train
    split.first_position = 2
    samples = [split[0, index] for index in range(len(split))]
    batch = {key: torch.stack([s[key] for s in samples]) for key in samples[0]}
    labels = batch.pop("labels")
    assert batch["attention_mask"].shape == (len(samples), 1, 32, 32)
    several = 0
    with torch.no_grad():
        packed = model(**batch).logits
        for row in range(len(samples)):
            positions = batch["position_ids"][row]
            borders = [*(positions == 2).nonzero().flatten().tolist(), 32]
            several += len(borders) > 2
            text = restored(samples[row])
            # Right after each token that ends a document, and nowhere else.
            assert borders[1:-1] == [i + 2 for i, token in enumerate(text[:-1]) if token == 2]
            for begin, end in zip(borders, borders[1:], strict=False):
                alone = model(
                    batch["input_ids"][row : row + 1, begin:end],
                    position_ids=positions[None, begin:end],
                ).logits[0]
                assert torch.allclose(packed[row, begin:end], alone, atol=1e-5, rtol=1e-4)
    assert several > 3
    assert labels.shape == (len(samples), 32)


def test_a_block_of_nothing_but_ends_chooses_nothing():
    masker = Masker(TOKENIZER, 0.15, False)
    tokens = torch.tensor([2, 2, 2])
    sample = masker(tokens, torch.ones(3, dtype=torch.bool), None, 0)
    assert sample["input_ids"].tolist() == [0, 2, 2, 2, 2]
    assert (sample["labels"] == IGNORED).all()


def test_a_context_that_holds_no_text(texts):
    with pytest.raises(UserError, match="a context of 2 tokens is too short: it holds 0 tokens"):
        masked(texts, context=2)
    with pytest.raises(UserError, match="a context of 1 tokens is too short"):
        build(texts, context=1)
