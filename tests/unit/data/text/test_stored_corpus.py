"""Tokens kept on disk are those in memory, found only by what they were made of, never in part."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader

from whitebox_transformers.data.text import stored_corpus
from whitebox_transformers.data.text.encode import Encoder
from whitebox_transformers.errors import UserError

from .conftest import build, prose, write_folder

ROLES = ("train", "validation", "test")


def kept(path: Path, cache: Path, **keys):
    return build(path, cache_mib=0, cache_folder=str(cache), **keys)


def folders(cache: Path) -> set[str]:
    return {path.name for path in cache.iterdir()}


@pytest.fixture
def tokenised(monkeypatch) -> list[int]:
    """Grows with every document that is tokenised."""
    seen, original = [], Encoder.encode

    def encode(self, texts):
        for found in original(self, texts):
            seen.append(len(found.ids))
            yield found

    monkeypatch.setattr(Encoder, "encode", encode)
    return seen


VARIANTS = [
    {"kind": "bpe", "cross_documents": False},
    {"objective": "masked", "kind": "bytes", "mask_whole_words": True},
]


@pytest.mark.parametrize("keys", VARIANTS)
def test_what_is_kept_is_what_would_be_in_memory(folder, tmp_path, tokenised, keys):
    plain = build(folder, **keys)
    written = kept(folder, tmp_path / "cache", **keys)
    assert folders(tmp_path / "cache") == {getattr(written, r).corpus.folder.name for r in ROLES}
    count = len(tokenised)
    read = kept(folder, tmp_path / "cache", **keys)
    assert len(tokenised) == count
    for data in (written, read):
        for role in ROLES:
            ours, theirs = getattr(data, role), getattr(plain, role)
            assert (ours.targets, ours.bytes) == (theirs.targets, theirs.bytes)
            assert len(ours) == len(theirs)
            for index in range(len(ours)):
                a, b = ours[2, index], theirs[2, index]
                assert a.keys() == b.keys()
                assert all(torch.equal(a[key], b[key]) for key in a)


CHANGES = [
    {"split_seed": 1},
    {"limit": 3},
    {"limit_mib": 0.0002},
    {"validation_share": 0.3},
    {"carve": "position"},
    {"kind": "bytes"},
    {"tokenizer_vocabulary_size": 290},
    {"objective": "masked"},
    {"objective": "masked", "mask_whole_words": True},
]


def test_another_text_tokenizer_or_split_is_another_corpus(folder, tmp_path, tokenised):
    keys = {"kind": "bpe", "tokenizer_vocabulary_size": 300, "context": 8}
    for number, change in enumerate([{}, *CHANGES]):
        cache = tmp_path / "cache"
        before = len(tokenised)
        plain = build(folder, **keys | change)
        between = len(tokenised)
        data = kept(folder, cache, **keys | change)
        assert len(tokenised) > between > before, change
        for role in ROLES:
            expected = getattr(plain, role).corpus
            assert torch.equal(getattr(data, role).corpus.tokens, expected.tokens), (number, role)
    for change in ("content", "name"):
        before = len(tokenised)
        path = folder / "05.txt"
        if change == "content":
            path.write_text(path.read_text(encoding="utf-8") + "!", encoding="utf-8")
        else:
            path.rename(folder / "05b.txt")
        kept(folder, tmp_path / "cache", **keys)
        assert len(tokenised) > before, change


def test_a_longer_context_or_another_seed_is_the_same_corpus(folder, tmp_path, tokenised):
    kept(folder, tmp_path / "cache")
    before = len(tokenised)
    kept(folder, tmp_path / "cache", context=12, seed=5, cross_documents=False)
    assert len(tokenised) == before


def test_a_failure_leaves_nothing_behind(folder, tmp_path, monkeypatch):
    original, calls = Encoder.encode, []

    def failing(self, texts):
        calls.append(None)
        for number, found in enumerate(original(self, texts)):
            if len(calls) == 3 and number == 5:
                raise KeyboardInterrupt
            yield found

    monkeypatch.setattr(Encoder, "encode", failing)
    with pytest.raises(KeyboardInterrupt):
        kept(folder, tmp_path / "cache")
    assert len(folders(tmp_path / "cache")) == 2
    assert not [name for name in folders(tmp_path / "cache") if name.startswith(".")]


@pytest.mark.parametrize("damage", ["cut", "missing", "contents"])
def test_a_damaged_corpus_is_made_anew(folder, tmp_path, damage):
    plain = build(folder)
    place = kept(folder, tmp_path / "cache").train.corpus.folder
    if damage == "contents":
        (place / "corpus.json").write_text("{", encoding="utf-8")
    elif damage == "missing":
        (place / "starts").unlink()
    else:
        (place / "tokens").write_bytes((place / "tokens").read_bytes()[:-2])
    again = kept(folder, tmp_path / "cache").train.corpus
    assert torch.equal(again.tokens, plain.train.corpus.tokens)
    assert again.folder == place


def test_a_faster_process_does_no_harm(folder, tmp_path, monkeypatch):
    """Both find nothing and write the same; the second one takes what the first one wrote."""
    first = kept(folder, tmp_path / "cache")
    monkeypatch.setattr("whitebox_transformers.data.text.build_blocks.find_corpus", lambda _: None)
    second = kept(folder, tmp_path / "cache")
    assert len(folders(tmp_path / "cache")) == 3
    assert torch.equal(first.train.corpus.tokens, second.train.corpus.tokens)


def test_processes_are_handed_a_place_and_no_tokens(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text(prose(0, 40_000), encoding="utf-8")
    train = kept(path, tmp_path / "cache").train
    handed = pickle.dumps(train)
    assert len(train.corpus.tokens) > 100_000
    assert len(handed) < 2_000
    assert torch.equal(pickle.loads(handed)[1, 3]["input_ids"], train[1, 3]["input_ids"])
    loader = DataLoader(train, 8, num_workers=1, multiprocessing_context="fork")
    assert torch.equal(next(iter(loader))["labels"][2], train[2]["labels"])


def test_small_texts_are_not_kept_unless_asked(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    build(folder)
    build(folder, cache_mib=None)
    assert not (tmp_path / "home").exists()
    build(folder, cache_mib=0)
    assert len(folders(tmp_path / "home" / "whitebox-transformers" / "corpora")) == 3


def test_a_place_that_cannot_be_written(folder, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(UserError, match=r"file cannot keep the tokenised text: .*cache_mib=null"):
        kept(folder, tmp_path / "file")
    with pytest.raises(UserError, match=r"data\.cache_folder=\$NO_SUCH/x needs the environment"):
        build(folder, cache_mib=0, cache_folder="$NO_SUCH/x")
    assert stored_corpus.find_corpus(tmp_path / "none") is None


def test_a_split_with_a_file_of_its_own(tmp_path, tokenised):
    root = write_folder(tmp_path / "texts", [30] * 12)
    held = write_folder(tmp_path / "held", [50])
    keys = {"validation_path": str(held), "test_share": 0}
    kept(root, tmp_path / "cache", **keys)
    before = len(tokenised)
    (held / "00.txt").write_text(prose(7, 60), encoding="utf-8")
    data = kept(root, tmp_path / "cache", **keys)
    assert len(tokenised) == before + 1  # the training text is found
    assert data.validation.corpus.bytes == len(prose(7, 60).encode())
