"""Blocks for causal models: every token is a target once, and none sees another document."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from whitebox_transformers import CrateGPTConfig, CrateGPTForCausalLM
from whitebox_transformers.data.text.causal import CausalBlocks
from whitebox_transformers.data.text.corpus import Corpus

IGNORED = -100


def corpus_of(lengths: list[int]) -> Corpus:
    """Documents of these lengths in which every token is another one, of ``1 + id % 3`` bytes."""
    tokens = torch.arange(sum(lengths))
    sizes = 1 + tokens % 3
    starts = torch.tensor([sum(lengths[:i]) for i in range(len(lengths))])
    return Corpus(tokens.to(torch.uint16), starts, sizes[starts], int(sizes.sum()))


def predictions(block) -> list[tuple[int, int]]:
    """(token before, predicted token) as a model that shifts its labels counts them."""
    ids, labels = block["input_ids"].tolist(), block["labels"].tolist()
    assert all(label in (IGNORED, token) for token, label in zip(ids, labels, strict=True))
    assert labels[0] == IGNORED
    return [(ids[i - 1], labels[i]) for i in range(1, len(ids)) if labels[i] != IGNORED]


corpora = st.lists(st.integers(1, 9), min_size=1, max_size=12)


@given(corpora, st.integers(2, 9), st.integers(0, 3), st.booleans(), st.booleans())
def test_every_token_is_a_target_once_in_each_epoch(lengths, context, epoch, moving, cross):
    corpus = corpus_of(lengths)
    if len(corpus) < context:
        return
    blocks = CausalBlocks(corpus, context, 5, moving, cross)
    pairs = [p for i in range(len(blocks)) for p in predictions(blocks[epoch, i])]
    assert all(token == before + 1 for before, token in pairs)
    left_out = {0} if cross else set(corpus.starts.tolist())
    assert Counter(token for _, token in pairs) == Counter(set(range(len(corpus))) - left_out)
    assert len(pairs) == blocks.targets
    assert sum(1 + token % 3 for _, token in pairs) == blocks.bytes


def test_borders_of_blocks_move_from_epoch_to_epoch_and_with_the_seed():
    corpus = corpus_of([500])
    starts = {
        (seed, epoch): int(CausalBlocks(corpus, 20, seed, True, True)[epoch, 0]["input_ids"][0])
        for seed in range(2)
        for epoch in range(3)
    }
    assert len(set(starts.values())) == 6
    again = CausalBlocks(corpus, 20, 1, True, True)
    assert torch.equal(again[2, 0]["input_ids"], again[2, 0]["input_ids"])
    assert int(again[2, 0]["input_ids"][0]) == starts[1, 2]


def test_evaluation_is_the_same_in_every_epoch():
    blocks = CausalBlocks(corpus_of([50]), 8, 3, False, True)
    for i in range(len(blocks)):
        assert torch.equal(blocks[0, i]["labels"], blocks[7, i]["labels"])


SUCCESSOR = {"position_embedding_type": "rotary", "window": 3, "window_at": "both", "key_lag": 1,
             "attend_self": False}  # fmt: skip
MODELS = {
    "gpt2": lambda **sizes: GPT2LMHeadModel(GPT2Config(
        n_embd=16, n_layer=2, n_head=2, n_positions=16, bos_token_id=0, eos_token_id=0, **sizes)),
    "llama": lambda **sizes: LlamaForCausalLM(LlamaConfig(
        hidden_size=16, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=16, **sizes)),
    "crate": lambda **sizes: crate_gpt(**sizes),
    "crate, what reaches back": lambda **sizes: crate_gpt(**SUCCESSOR, **sizes),
}  # fmt: skip


def crate_gpt(**options) -> CrateGPTForCausalLM:
    return CrateGPTForCausalLM(CrateGPTConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, max_position_embeddings=16,
        **options))  # fmt: skip


def tiny(family: str, attention: str):
    torch.manual_seed(0)
    model = MODELS[family](vocab_size=64, attn_implementation=attention).eval()
    for weight in model.parameters():  # some begin as zero, where they would hide what they see
        torch.nn.init.normal_(weight, std=0.3)
    return model


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("family", MODELS)
def test_no_token_attends_across_documents(family, attention):
    """Each document inside a block gets the logits that it gets alone."""
    model = tiny(family, attention)
    lengths = [5, 3, 1, 11, 7]
    blocks = CausalBlocks(corpus_of(lengths), 12, 0, False, False)
    batch = {key: torch.stack([blocks[i][key] for i in range(len(blocks))])
             for key in ("input_ids", "position_ids")}  # fmt: skip
    assert len(blocks) > 1
    with torch.no_grad():
        packed = model(**batch, use_cache=False).logits
        for row, positions in enumerate(batch["position_ids"]):
            borders = [*(positions == 0).nonzero().flatten().tolist(), len(positions)]
            assert row == 1 or len(borders) > 2
            for begin, end in zip(borders, borders[1:], strict=False):
                alone = model(batch["input_ids"][row : row + 1, begin:end]).logits[0]
                assert torch.allclose(packed[row, begin:end], alone, atol=1e-5, rtol=1e-4)


def test_positions_begin_anew_with_each_document_also_where_the_corpus_closes_to_a_ring():
    lengths = [5, 3, 1, 11, 7]
    corpus = corpus_of(lengths)
    document = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    moving = CausalBlocks(corpus, 12, 1, True, False)
    closing = 0
    for epoch in range(6):
        for index in range(len(moving)):
            ids = moving[epoch, index]["input_ids"]
            closing += int((ids.diff() != 1).sum())
            expected = [0]
            for before, token in zip(ids.tolist(), ids.tolist()[1:], strict=False):
                goes_on = token == before + 1 and document[token] == document[before]
                expected.append(expected[-1] + 1 if goes_on else 0)
            assert moving[epoch, index]["position_ids"].tolist() == expected
    assert closing >= 6  # once around in each of six epochs
