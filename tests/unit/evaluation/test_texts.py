"""What is read is exactly what the file holds; what cannot be scored is refused by name."""

from __future__ import annotations

import hashlib
import json

import pytest

from whitebox_transformers.errors import UserError
from whitebox_transformers.evaluation.texts import read_texts


@pytest.fixture
def write(tmp_path):
    def write(name: str, content: str | bytes):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def test_a_plain_file_is_one_text_to_the_byte(write):
    content = " a\r\nb\n\n☃\t"
    path = write("a.txt", content)
    found = read_texts([path])
    assert found.texts == [content]
    digest = hashlib.sha256(content.encode()).hexdigest()
    assert found.sources == [{"file": str(path), "bytes": len(content.encode()), "sha256": digest}]


def test_separators_and_lines_make_several_texts(write):
    path, other = write("a.txt", "one\n\n<|end|>two\n<|end|>\n"), write("b.txt", "three")
    found = read_texts([path, other], separator="<|end|>")
    assert found.texts == ["one\n\n", "two\n", "three"]
    assert found.endings == [7, 7, 0]
    assert "'<|end|>'" in found.form
    joined = read_texts([write("c.txt", "one\n\n \ntwo")], separator="\n", together=True)
    assert list(zip(joined.texts, joined.endings, strict=True)) == [
        ("one", 1), ("", 1), (" ", 1), ("two", 0)
    ]  # fmt: skip
    for separator, message in (
        ("|||", r"'\|\|\|' occurs in none of .*a\.txt"),
        ("", "empty separator"),
    ):
        with pytest.raises(UserError, match=message):
            read_texts([path], separator=separator)
    assert read_texts([path], lines=True).texts == ["one", "<|end|>two", "<|end|>"]


def test_columns_of_json_lines_and_parquet_are_texts(write, tmp_path):
    rows = [{"text": "one", "other": "1"}, {"text": "", "other": "2"}, {"text": "☃", "other": "3"}]
    lines = write("a.jsonl", "\n".join(map(json.dumps, rows)) + "\n\n")
    assert read_texts([lines]).texts == ["one", "☃"]
    assert read_texts([lines], column="other").texts == ["1", "2", "3"]
    for name, content in (
        ("a.json", json.dumps(rows, indent=1)),
        ("b.json", json.dumps(["one", "☃"])),
        ("c.json", "\n".join(map(json.dumps, rows))),
    ):
        found = read_texts([write(name, content)])
        assert found.texts == ["one", "☃"]
        assert (found.form, found.sources[0]["column"]) == ("a row is a text", "text")
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = tmp_path / "a.parquet"
    parquet.write_table(arrow.table({"text": ["one", None, "two"], "n": [1, 2, 3]}), table)
    found = read_texts([table])
    assert found.texts == ["one", "two"]
    assert found.sources[0]["column"] == "text"
    with pytest.raises(UserError, match=r"no column 'words' \(--column\); it has: text, n"):
        read_texts([table], column="words")
    with pytest.raises(UserError, match=r"row 0: 'n' holds a int; a text is expected"):
        read_texts([table], column="n")


def test_values_between_commas_are_texts(write):
    path = write("a.csv", 'words,n\n"one, two",1\nthree,2\n')
    assert read_texts([path], column="words").texts == ["one, two", "three"]
    with pytest.raises(UserError, match=r"which column .* name it with --column; it has: words, n"):
        read_texts([path])
    assert read_texts([write("c.tsv", "sentence\tn\none\t1\n")]).texts == ["one"]
    with pytest.raises(UserError, match="line 2: it has 3 values where 2 are expected; mend"):
        read_texts([write("b.csv", "words,n\na,b,c\n")], column="words")


def test_plain_text_has_no_columns(write):
    with pytest.raises(UserError, match=r"a.txt is plain text and has no column 'words'"):
        read_texts([write("a.txt", "some words")], column="words")


def test_a_folder_of_a_data_set_is_read_by_its_column(tmp_path):
    datasets = pytest.importorskip("datasets")
    folder = tmp_path / "data"
    datasets.Dataset.from_dict({"words": ["one", "two"]}).to_parquet(folder / "test.parquet")
    found = read_texts([folder], column="words")
    assert found.texts == ["one", "two"]
    assert found.sources[0]["split"] == "test"
    assert found.sources[0]["fingerprint"]
    with pytest.raises(UserError, match=r"no column 'text' \(--column\); it has: words"):
        read_texts([folder], column="text")
    with pytest.raises(UserError, match="neither a file nor a data set"):
        read_texts([tmp_path / "nothing"], column="text")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"", "is empty"),
        ("a.txt", b" \n ", "only white space"),
        ("a.txt", b"abc\xff", r"a.txt: not UTF-8: byte 3 is 0xff"),
        ("a.txt", b"abc\0abc", r"a.txt: binary: byte 3 is zero, which no text has"),
        (
            "a.jsonl",
            b'{"text": "a"}\n{"words": "b"}',
            r"line 2: it has no 'text', but: words; mend",
        ),
        ("a.jsonl", b"[1, 2]", "line 1: it holds a list; an object is expected"),
        ("a.jsonl", b"{", "line 1: not JSON"),
        ("a.json", b'["a", 1]', r"item 2: it holds a int; an object is expected; mend"),
        ("a.json", b"[]", r"no list of texts or JSON objects: the list is empty"),
        ("a.json", b'["a"', r"a\.json is not JSON: "),
        ("a.json", b'{"text":\n "a"}', r"should hold a list of texts or objects, or an object in"),
        ("a.json", b'{"text": ["a"]}', r"'text' holds a list; a text is expected"),
        ("a.parquet", b"abc", "cannot be read as parquet"),
    ],
)
def test_what_cannot_be_scored_is_named(write, name, content, message):
    with pytest.raises(UserError, match=message) as caught:
        read_texts([write(name, content)])
    assert name in str(caught.value)


def test_missing_files_and_no_files_are_named(tmp_path):
    with pytest.raises(UserError, match=r"no\.txt is not a file"):
        read_texts([tmp_path / "no.txt"])
    with pytest.raises(UserError, match="no text is named"):
        read_texts([])
