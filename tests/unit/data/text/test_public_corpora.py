"""Known corpora come out with their known sizes."""

from __future__ import annotations

import pytest

from .conftest import build


def test_tiny_shakespeare_by_characters(data_dir):
    data = build(data_dir / "tinyshakespeare" / "input.txt", context=64, test_share=0)
    assert len(data.tokenizer) == 65
    assert len(data.train.corpus) + len(data.validation.corpus) == 1_115_394
    assert len(data.train.corpus) == 1_003_854
    assert data.validation.targets == data.validation.bytes == 111_539


@pytest.fixture(scope="module")
def wikitext(data_dir):
    folder = data_dir / "wikitext-2"
    return build(
        folder / "wiki.train.tokens",
        kind="words",
        tokenizer_min_frequency=1,
        validation_path=str(folder / "wiki.valid.tokens"),
        test_path=str(folder / "wiki.test.tokens"),
        separator="\n",
        context=35,
    )


def test_wikitext_2_by_words(wikitext):
    """The published counts of tokens, each line ended by one, and of distinct ones."""
    assert len(wikitext.tokenizer) == 33_278
    sizes = {"train": (36_718, 2_088_628), "validation": (3_760, 217_646), "test": (4_358, 245_569)}
    for role, (lines, tokens) in sizes.items():
        corpus = getattr(wikitext, role).corpus
        assert (len(corpus.starts), len(corpus)) == (lines, tokens)


def test_wikitext_2_by_bytes_of_its_files(wikitext, data_dir):
    for role, name in (("train", "train"), ("validation", "valid"), ("test", "test")):
        size = (data_dir / "wikitext-2" / f"wiki.{name}.tokens").stat().st_size
        assert getattr(wikitext, role).corpus.bytes == size
