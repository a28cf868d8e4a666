"""Data made up for a trial run, of which several processes read one set."""

from __future__ import annotations

import pytest

from whitebox_transformers.data.config import DataConfig
from whitebox_transformers.data.text import TextDataConfig
from whitebox_transformers.tasks.smoke_images import few_images
from whitebox_transformers.tasks.smoke_text import made_up_documents, made_up_rows


@pytest.mark.parametrize("rank", ["0", "1"])
def test_the_first_process_writes_for_all(rank, tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", rank)
    table = TextDataConfig(source="table", path="none.tsv", text_column="text")
    found = [
        made_up_documents(TextDataConfig(), tmp_path / "documents").path,
        made_up_rows(table, tmp_path / "rows").path,
        few_images(DataConfig(source="hub", path="nobody/none"), 8, tmp_path / "images").path,
    ]
    written = {path.relative_to(tmp_path).parts[0] for path in tmp_path.iterdir()}
    assert written == ({"documents", "rows", "images"} if rank == "0" else set())
    assert found == [str(tmp_path / name) for name in ("documents", "rows/rows.tsv", "images")]
