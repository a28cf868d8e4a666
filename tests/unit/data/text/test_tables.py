"""Rows of tables are the documents that were written, whatever file stores them."""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from whitebox_transformers.data.text import TextDataConfig
from whitebox_transformers.data.text.documents import read
from whitebox_transformers.data.text.sources import open_sources
from whitebox_transformers.errors import UserError

from .conftest import build, prose

TEXTS = [prose(n, 1 + 5 * n) for n in range(30)] + ['He said "no, never",\ttwice.', "a\nb"]
PLAIN = [text.replace("\n", " ").replace("\t", " ") for text in TEXTS]


def write(path: Path, texts: list, column: str = "text", **form) -> Path:
    """A table with a column of numbers before that of the texts."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = list(enumerate(texts))
    if path.suffix == ".parquet":
        table = pa.table({"number": [n for n, _ in rows], column: texts})
        pq.write_table(table, path, row_group_size=7)
    elif path.suffix == ".jsonl":
        lines = [json.dumps({"number": n, column: text}, ensure_ascii=False) for n, text in rows]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    elif path.suffix == ".json":
        path.write_text(json.dumps([{"number": n, column: text} for n, text in rows]), "utf-8")
    elif path.suffix == ".tsv":
        lines = [f"number\t{column}", *(f"{n}\t{text}" for n, text in rows)]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    else:
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, **form).writerows([("number", column), *rows])
    return path


def documents(path: Path, role: str = "train", seed: int | None = None, **keys) -> list[str]:
    config = TextDataConfig(source="table", path=str(path), **keys)
    return [read(document).text for document in open_sources(config)[role].documents(seed)]


@pytest.mark.parametrize("ending", ["csv", "json", "jsonl", "parquet"])
def test_rows_come_out_as_they_were_written(tmp_path, ending):
    assert documents(write(tmp_path / f"t.{ending}", TEXTS)) == TEXTS


def test_quotes_are_plain_characters_in_tsv_unless_told_otherwise(tmp_path):
    assert documents(write(tmp_path / "t.tsv", PLAIN)) == PLAIN
    path = tmp_path / "q.tsv"
    path.write_text('text\tn\n"a\tb"\t1\n', encoding="utf-8")
    assert documents(path, quoted=True) == ["a\tb"]
    (tmp_path / "q.csv").write_text('text,n\n"a",1\n', encoding="utf-8")
    assert documents(tmp_path / "q.csv", quoted=False) == ['"a"']


def test_a_table_without_names_and_one_with_a_byte_order_mark(tmp_path):
    path = tmp_path / "cola.tsv"
    path.write_text("gj04\t1\t\tThey drank.\nbc01\t0\t*\tThey drank\n", encoding="utf-8")
    columns = ["source", "label", "mark", "sentence"]
    assert documents(path, columns=columns) == ["They drank.", "They drank"]
    (tmp_path / "bom.csv").write_text("text\nfirst\n", encoding="utf-8-sig")
    assert documents(tmp_path / "bom.csv") == ["first"]


def test_fields_may_be_long(tmp_path):
    assert documents(write(tmp_path / "t.csv", ["x" * 200_000])) == ["x" * 200_000]


@pytest.mark.parametrize("ending", ["csv", "tsv", "json", "jsonl", "parquet"])
def test_a_folder_gives_splits_by_names(tmp_path, ending):
    if ending != "json":  # describes what lies beside it
        (tmp_path / "train.json").write_text('{"rows": 20}', "utf-8")
    for name, part in (("train", PLAIN[:20]), ("dev", PLAIN[20:25]), ("test", PLAIN[25:])):
        write(tmp_path / f"{name}.{ending}", part)
    for role, part in (("train", PLAIN[:20]), ("validation", PLAIN[20:25]), ("test", PLAIN[25:])):
        assert documents(tmp_path, role) == part
    other = documents(tmp_path, "test", test_path=str(tmp_path / f"dev.{ending}"))
    assert other == PLAIN[20:25]


def test_a_data_set_by_name_gives_what_its_files_give(tmp_path):
    for name, part in (("train", TEXTS[:25]), ("validation", TEXTS[25:])):
        write(tmp_path / f"{name}.parquet", part)
    config = TextDataConfig(source="hub", path=str(tmp_path))
    for role, part in (("train", TEXTS[:25]), ("validation", TEXTS[25:])):
        found = open_sources(config)[role]
        assert [read(document).text for document in found.documents(None)] == part
        names = [document.name for document in found.documents(None)]
        assert names == [f"{tmp_path} {role} row {n}" for n in range(len(part))]


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_another_order_holds_the_same_rows(tmp_path, ending):
    draw = random.Random(0)
    for number in range(6):
        write(tmp_path / f"part{number}.{ending}", draw.sample(TEXTS, 20))
    every = documents(f"{tmp_path}/part*")
    first, again, second = (documents(f"{tmp_path}/part*", seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first != second != every
    assert sorted(first) == sorted(second) == sorted(every)


def test_equal_rows_never_lie_in_two_splits(tmp_path):
    path = write(tmp_path / "t.parquet", TEXTS * 3)
    data = build(path, source="table", context=4)
    found = {}
    for role in ("train", "validation", "test"):
        corpus = getattr(data, role).corpus
        ends = [*corpus.starts.tolist()[1:], len(corpus)]
        spans = zip(corpus.starts.tolist(), ends, strict=True)
        found[role] = [data.tokenizer.decode(corpus.tokens[a:b].long()) for a, b in spans]
    assert sorted(t for part in found.values() for t in part) == sorted(
        text + "<|endoftext|>" for text in TEXTS * 3
    )
    sets = [set(part) for part in found.values()]
    assert len(set.union(*sets)) == sum(map(len, sets))


def refused(match: str, path, **keys) -> None:
    with pytest.raises(UserError, match=match) as caught:
        build(path, source=keys.pop("source", "table"), context=4, **keys)
    assert "\n" not in str(caught.value)


def test_a_missing_column_and_an_unclear_one(tmp_path):
    path = write(tmp_path / "t.csv", TEXTS, column="story")
    refused(r"t\.csv: which column holds the texts\? .* it has: number, story", path)
    refused(r"has no column 'txt' \(data\.text_column\); it has: number, story", path,
            text_column="txt")  # fmt: skip
    assert build(path, source="table", context=2, text_column="story").train
    refused("'number' holds a int; a text is expected", write(tmp_path / "t.parquet", TEXTS),
            text_column="number")  # fmt: skip


def test_files_that_are_no_tables(tmp_path):
    (tmp_path / "t.txt").write_text("text", encoding="utf-8")
    refused(r"t\.txt is no table: its name should end in \.csv", tmp_path / "t.txt")
    refused(r"holds no \.csv, \.tsv, \.jsonl, \.ndjson, \.json, \.parquet file", tmp_path)
    for name, match in (("t.parquet", "cannot be read as parquet"), ("t.jsonl", "does not begin")):
        (tmp_path / name).write_text("text", encoding="utf-8")
        refused(match, tmp_path / name)
    with pytest.raises(UserError, match=r"data\.source=hub takes the name of one data set"):
        TextDataConfig(source="hub", path="a", validation_path="b")
    refused(r"data\.path=.*none: cannot load this data set", tmp_path / "none", source="hub")


def test_broken_rows_are_counted_and_named_and_may_be_left_out(tmp_path):
    good = [f"{prose(n, 9)} {n}".replace("\n", " ") for n in range(40)]
    path = tmp_path / "t.tsv"
    broken = b"7\tna\xefve\n7\ttoo\tmany\n7\n\n"
    path.write_bytes(write(path, good).read_bytes() + broken)
    refused(r"3 of 43 documents cannot be used: .*line 42: not UTF-8: 'text' has byte 0xef at 2; "
            r".*line 43: it has 3 values where 2 are expected; .*line 44: it has 1 values", path,
            on_bad="error")  # fmt: skip
    refused(r"share 0\.07 is above data\.max_bad=0\.05", path, on_bad="skip", max_bad=0.05)
    data = build(path, source="table", context=4, on_bad="skip", max_bad=0.1)
    kept = [getattr(data, role).corpus for role in ("train", "validation", "test")]
    assert sum(len(corpus.starts) for corpus in kept) == 40
    path = tmp_path / "t.jsonl"
    path.write_text(write(path, good).read_text() + '{"text": 1}\n[]\n{"text"\n{}\n', "utf-8")
    refused(r"4 of 44 .*line 41: 'text' holds a int.*line 42: it holds a list; .*line 43: not JSON"
            r".*line 44: it has no 'text', but: nothing", path)  # fmt: skip
    refused(r"row 2: there is no text under 'text'", write(tmp_path / "t.parquet", ["a", "", None]))
