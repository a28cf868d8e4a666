"""Text in passing: the same batches whoever makes them, and every document of every turn."""

from __future__ import annotations

import logging
from itertools import islice
from pathlib import Path

import pytest
import torch

from whitebox_transformers.data.loading import training_batches
from whitebox_transformers.data.protocol import length_of
from whitebox_transformers.data.text import TextDataConfig
from whitebox_transformers.errors import UserError

from .conftest import build, prose

IGNORED = -100
END = "<|endoftext|>"


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    """300 different documents, some of them much longer than a sample."""
    texts = [prose(n, 1 + n % 40).replace("\n", " ") + f" {n}" for n in range(300)]
    path = tmp_path / "lines.txt"
    path.write_text("\n".join(texts) + "\n", encoding="utf-8")
    return path


def streamed(path: Path, kind="bytes", **keys):
    keys = {"separator": "\n", "streaming": True, "shuffle_buffer": 20, "context": 24} | keys
    return build(path, kind, **keys)


def some(split, count: int, size=4, **keys) -> list[dict[str, torch.Tensor]]:
    return list(islice(training_batches(split, size, epoch=keys.pop("epoch", 0), **keys), count))


def same(first, second) -> bool:
    return len(first) == len(second) and all(
        a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)
        for a, b in zip(first, second, strict=True)
    )


VARIANTS = [
    {},
    {"cross_documents": False},
    {"objective": "masked", "mask_whole_words": True},
    {"objective": "masked", "cross_documents": False},
]


@pytest.mark.parametrize("keys", VARIANTS)
def test_batches_depend_neither_on_workers_nor_on_where_one_begins(lines, keys):
    train = streamed(lines, **keys).train
    whole = some(train, 40)
    assert same(whole, some(streamed(lines, **keys).train, 40))
    for workers in (1, 2):
        assert same(whole, some(train, 40, workers=workers))
    for start in (1, 7, 33):
        assert same(whole[start:], some(train, 40 - start, start=start, workers=start % 3))
    assert not same(whole, some(train, 40, epoch=1))
    assert not same(whole, some(streamed(lines, seed=1, **keys).train, 40))


@pytest.mark.parametrize("world", [2, 4])
def test_processes_share_a_batch_without_overlap(lines, world):
    train = streamed(lines).train
    whole = some(train, 20)
    parts = [some(train, 20, size=4 // world, rank=rank, world=world) for rank in range(world)]
    for step in range(20):
        joined = torch.cat([part[step]["input_ids"] for part in parts])
        assert torch.equal(joined, whole[step]["input_ids"])


def test_a_turn_holds_every_training_document_once_in_an_order_of_its_own(lines):
    data = streamed(lines)
    kept = [text.text for text in islice(data.train.texts(0), 900)]
    every = lines.read_text(encoding="utf-8").splitlines()
    held = "".join(
        data.tokenizer.decode(split.corpus.tokens.long()) for split in (data.validation, data.test)
    ).split(END)
    training = [text for text in every if text not in held]
    assert 0.6 * 300 < len(training) < 0.95 * 300
    turns = [kept[n * len(training) : (n + 1) * len(training)] for n in range(3)]
    assert all(sorted(turn) == sorted(training) for turn in turns)
    assert turns[0] != turns[1] != turns[2] != training


@pytest.mark.parametrize("size", [1, 3])
def test_every_token_is_a_target_once(lines, size):
    """A lane is what it was given, document after document, cut where the last sample ended."""
    data = streamed(lines)
    lanes, loads = [[] for _ in range(size)], [0] * size
    for text in islice(data.train.texts(0), 500):
        lane = loads.index(min(loads))
        loads[lane] += len(text.text.encode()) + 1
        lanes[lane] += [*data.tokenizer.encode(text.text), data.tokenizer.eos_token_id]
    batches = some(data.train, 60, size=size)
    for number, lane in enumerate(lanes):
        predicted = []
        for batch in batches:
            ids, labels = batch["input_ids"][number], batch["labels"][number]
            assert labels[0] == IGNORED
            assert torch.equal(labels[1:], ids[1:])
            predicted += labels[1:].tolist()
        assert len(predicted) == 60 * 23
        assert lane[1 : 1 + len(predicted)] == predicted


def test_documents_stay_apart_and_their_first_tokens_are_not_predicted(lines):
    data = streamed(lines, cross_documents=False)
    crossing = streamed(lines)
    end, several = data.tokenizer.eos_token_id, 0
    for apart, joined in zip(some(data.train, 30), some(crossing.train, 30), strict=True):
        assert torch.equal(apart["input_ids"], joined["input_ids"])
        for ids, labels, positions in zip(*apart.values(), strict=True):
            begins = [0] + [n + 1 for n, token in enumerate(ids.tolist()[:-1]) if token == end]
            several += len(begins) > 1
            expected = [n - max(b for b in begins if b <= n) for n in range(len(ids))]
            assert positions.tolist() == expected
            assert (labels[begins] == IGNORED).all()
            others = [n for n in range(len(ids)) if n not in begins]
            assert torch.equal(labels[others], ids[others])
    assert several > 20


def test_masked_streams_hide_bert_s_share_and_never_the_ends_of_documents(lines):
    data = streamed(lines, objective="masked", context=42, mask_share=0.3)
    data.train.first_position = 5  # accepted, though only documents kept apart need it
    special, seen = set(data.tokenizer.all_special_ids), []
    for batch in some(data.train, 30):
        for ids, labels in zip(batch["input_ids"], batch["labels"], strict=True):
            assert (ids[0], ids[-1]) == (data.tokenizer.cls_token_id, data.tokenizer.sep_token_id)
            chosen = labels != IGNORED
            whole = torch.where(chosen, labels, ids)[1:-1]
            ordinary = sum(token not in special for token in whole.tolist())
            assert int(chosen.sum()) == round(0.3 * ordinary)
            assert not set(labels[chosen].tolist()) & special
            seen.append(tuple(labels.tolist()))
    assert len(set(seen)) == len(seen)


def test_only_what_is_asked_for_is_read(lines, monkeypatch):
    data = streamed(lines)
    read = 0
    original = type(data.train.source).documents

    def counted(self, seed):
        nonlocal read
        for document in original(self, seed):
            read += 1
            yield document

    monkeypatch.setattr(type(data.train.source), "documents", counted)
    monkeypatch.setattr("whitebox_transformers.data.text.stream.PIECE", 100)
    some(data.train, 2)
    assert 20 < read < 60  # the buffer, two batches and what is made ahead
    assert length_of(data.train) is None


def test_what_is_held_is_bounded_and_keeps_out_of_training(lines):
    data = streamed(lines, held_mib=400 / 2**20, validation_share=0.4)
    assert 300 < data.validation.corpus.bytes <= 400
    assert 300 < data.train_plain.corpus.bytes <= 400
    training = {text.text for text in islice(data.train.texts(0), 500)}
    text = data.tokenizer.decode(data.validation.corpus.tokens.long())
    assert not set(text.split(END)[:-2]) & training
    trial = streamed(lines, limit=5)
    assert len({text.text for text in islice(trial.train.texts(0), 50)}) == 5


@pytest.mark.parametrize("source", ["table", "hub"])
def test_rows_pass_by_too(tmp_path, source):
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts = [prose(n, 1 + n % 40) + f" {n}" for n in range(300)]
    for number in range(3):
        part = pa.table({"text": texts[number * 100 : (number + 1) * 100]})
        pq.write_table(part, tmp_path / f"train-{number}.parquet", row_group_size=30)
    data = streamed(tmp_path, source=source, separator=None)
    training = [text.text for text in islice(data.train.texts(0), 200)]
    assert len(set(training)) == 200
    assert set(training) <= set(texts)
    whole = some(data.train, 20)
    assert same(whole[5:], some(data.train, 15, start=5, workers=2))


def test_broken_documents_are_skipped_counted_and_named(lines, caplog):
    content = lines.read_bytes()
    held = lines.with_name("held.txt")
    held.write_bytes(content)
    broken = b"na\xefve\nzero\0byte\n"
    lines.write_bytes(content + broken)
    # So little is held that building meets no broken document.
    keys = {"validation_path": str(held), "test_share": 0, "held_mib": 1 / 2**10}
    with caplog.at_level(logging.WARNING):
        data = streamed(lines, max_bad=0.01, **keys)
        names = {text.name for text in islice(data.train.texts(0), 700)}
    assert names == {f"{lines} line {n}" for n in range(1, 301)}
    told = sorted(record.getMessage().split(": ", 1)[1] for record in caplog.records)
    assert [line.split(": ")[:2] for line in told] == [
        [f"{lines} line 301", "not UTF-8"],
        [f"{lines} line 302", "binary"],
    ]
    with pytest.raises(UserError, match=r"2 of 302 streamed documents are broken, the last one "
                       r".*line 302.*; that is above data\.max_bad=0\.005"):  # fmt: skip
        list(islice(streamed(lines, max_bad=0.005, **keys).train.texts(0), 700))
    lines.write_bytes(content + broken * 6)
    with pytest.raises(UserError, match=r"\d+ of 1000 streamed documents are broken"):
        some(streamed(lines, max_bad=0.01, **keys).train, 300, workers=2)


def refused(match: str, path: Path, **keys) -> None:
    with pytest.raises(UserError, match=match) as caught:
        streamed(path, **keys)
    assert "\n" not in str(caught.value)


def test_what_a_stream_cannot_do(lines, monkeypatch):
    refused("tokenizer.kind=characters needs the whole corpus", lines, kind="characters")
    refused("a classifier reads all rows", lines, objective="classification", source="table",
            separator=None)  # fmt: skip
    refused("data.carve=position needs the length of the whole text", lines, carve="position")
    refused(r"no document of .* falls into the \w+ split; .* with data\.separator", lines,
            separator=None)  # fmt: skip
    monkeypatch.setattr("whitebox_transformers.data.text.files.LONGEST_STREAMED", 1000)
    refused("lines.txt is one document of 0.0 GiB, which a stream holds in memory", lines,
            separator=None)  # fmt: skip
    with pytest.raises(UserError, match=r"data\.held_mib=0 must be above 0"):
        TextDataConfig(held_mib=0)
