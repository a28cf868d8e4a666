"""Known corpora come out with their known sizes."""

from __future__ import annotations

from .conftest import build


def test_tiny_shakespeare_by_characters(data_dir):
    data = build(data_dir / "tinyshakespeare" / "input.txt", context=64, test_share=0)
    assert len(data.tokenizer) == 65
    assert len(data.train.corpus) + len(data.validation.corpus) == 1_115_394
    assert len(data.train.corpus) == 1_003_854
    assert data.validation.targets == data.validation.bytes == 111_539
