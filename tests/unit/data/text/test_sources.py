"""Sources, documents and splits, against the files themselves."""

from __future__ import annotations

import sysconfig
from pathlib import Path

import pytest

from whitebox_transformers.data.text import TextDataConfig
from whitebox_transformers.data.text.carve import carve
from whitebox_transformers.data.text.documents import texts
from whitebox_transformers.data.text.files import TextFiles, open_files
from whitebox_transformers.data.text.stdlib import open_stdlib
from whitebox_transformers.data.text.survey import survey

from .conftest import build, prose, write_folder


def decoded(data, role: str) -> list[str]:
    """The documents of a split, taken from its tokens."""
    corpus = getattr(data, role).corpus
    ends = [*corpus.starts.tolist()[1:], len(corpus)]
    spans = zip(corpus.starts.tolist(), ends, strict=True)
    return [data.tokenizer.decode(corpus.tokens[a:b].long()) for a, b in spans]


def files(folder: Path) -> set[str]:
    return {path.read_text(encoding="utf-8") for path in folder.iterdir()}


@pytest.mark.parametrize("kind", ["bpe", "characters"])
def test_a_folder_is_carved_by_documents_none_of_which_is_lost(folder, kind):
    data = build(folder, kind, tokenizer_vocabulary_size=300)
    end = "<|endoftext|>"
    parts = {role: decoded(data, role) for role in ("train", "validation", "test")}
    assert all(parts.values())
    found = [text.removesuffix(end) for part in parts.values() for text in part]
    assert all(text.endswith(end) for part in parts.values() for text in part)
    assert len(found) == 24
    assert set(found) == files(folder)


def test_a_document_stays_in_its_split_whatever_the_others_are(folder, tmp_path):
    before = build(folder, split_seed=3)
    for path in [*folder.iterdir()][::2]:
        path.unlink()
    write_folder(tmp_path / "other", [40] * 5)
    for path in (tmp_path / "other").iterdir():
        path.rename(folder / f"new{path.name}")
    after = build(folder, split_seed=3)
    for role in ("train", "validation", "test"):
        others = [r for r in ("train", "validation", "test") if r != role]
        for other in others:
            assert not set(decoded(before, role)) & set(decoded(after, other))


@pytest.mark.parametrize("seed", range(8))
def test_of_few_documents_each_split_has_one(tmp_path, seed):
    data = build(write_folder(tmp_path / "few", [30, 31, 32]), split_seed=seed)
    parts = {role: decoded(data, role) for role in ("train", "validation", "test")}
    assert [len(part) for part in parts.values()] == [1, 1, 1]
    assert len({text for part in parts.values() for text in part}) == 3


def test_the_order_of_a_folder_is_not_that_of_the_file_system(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    numbers = [*range(12)]
    for name, order in (("one", numbers), ("two", numbers[::-1])):
        for number in order:
            (tmp_path / name / f"{number}.txt").write_text(prose(number, 30), encoding="utf-8")
    one, two = (build(tmp_path / name, split_seed=5) for name in ("one", "two"))
    assert decoded(one, "train") == decoded(two, "train")
    assert decoded(one, "validation") == decoded(two, "validation")


def test_one_document_is_cut_by_position_like_nanogpt(tmp_path):
    text = prose(0, 400)
    (tmp_path / "play.txt").write_text(text, encoding="utf-8")
    data = build(tmp_path / "play.txt", test_share=0)
    border = int(0.9 * len(text))
    assert decoded(data, "train") == [text[:border]]
    assert decoded(data, "validation") == [text[border:]]
    assert data.test is None
    assert len(data.tokenizer) == len(set(text))  # no token but characters
    three = build(tmp_path / "play.txt", test_share=0.2)
    parts = [decoded(three, role)[0] for role in ("train", "validation", "test")]
    assert "".join(parts) == text
    assert len(parts[2]) == pytest.approx(0.2 * len(text), abs=1)


@pytest.mark.parametrize("last", ["\n", "", "\n\n\n"])
def test_lines_are_documents_blank_ones_too_and_bytes_are_those_of_the_file(tmp_path, last):
    text = "\n".join(prose(n, 12).replace("\n", "") * (n % 3 != 1) for n in range(60)) + last
    path = tmp_path / "lines.txt"
    path.write_bytes(text.encode())
    data = build(path, separator="\n")
    found = [line for r in ("train", "validation", "test") for line in decoded(data, r)]
    expected = text.removesuffix("\n").split("\n")
    assert found == [line + "<|endoftext|>" for line in expected]
    splits = (data.train, data.validation, data.test)
    assert sum(split.corpus.bytes for split in splits) == len(text.encode())


def test_a_separator_may_lie_anywhere_and_be_long(tmp_path):
    pieces = [prose(n, 9) for n in range(40)]
    path = tmp_path / "stories.txt"
    path.write_bytes("\n=====\n".join(pieces).encode())
    source = TextFiles([path], tmp_path, "\n=====\n")
    assert [text.text for text in texts(source)] == pieces
    offset = 0
    for document in source.documents(None):
        assert path.read_bytes()[offset:].startswith(document.content)
        assert document.offset == offset
        offset += len(document.content) + document.ending
    assert offset == path.stat().st_size


def test_files_are_named_by_paths_patterns_and_variables(folder, monkeypatch):
    monkeypatch.setenv("TEXTS", str(folder))
    config = TextDataConfig(
        source="file",
        path=["${TEXTS}/0*.txt", "${TEXTS}/03.txt", "${TEXTS}/11.txt"],
        validation_path="${TEXTS}/2?.txt",
        test_path="${TEXTS}/12.txt",
    )
    names = {
        role: [Path(document.name).stem for document in source.documents(None)]
        for role, source in open_files(config).items()
    }
    assert names == {
        "train": [*(f"{n:02}" for n in range(10)), "11"],
        "validation": ["20", "21", "22", "23"],
        "test": ["12"],
    }


def test_a_pattern_chooses_files_of_a_folder(folder):
    (folder / "picture.png").write_bytes(bytes(100))
    (folder / "sub").mkdir()
    (folder / "sub" / "more.txt").write_text(prose(99, 50), encoding="utf-8")
    data = build(folder, pattern="*.txt")
    assert sum(len(getattr(data, r).corpus.starts) for r in ("train", "validation", "test")) == 25


def test_limits(folder):
    few = build(folder, limit=2, validation_share=0.3, test_share=0.3)
    assert len(few.train.corpus.starts) == len(few.test.corpus.starts) == 2
    all_ = build(folder)
    small = build(folder, limit_mib=300 / 2**20)
    joined = "".join(text.removesuffix("<|endoftext|>") for text in decoded(all_, "train"))
    cut = "".join(text.removesuffix("<|endoftext|>") for text in decoded(small, "train"))
    assert joined.startswith(cut)
    assert 300 - 4 < len(cut.encode()) <= 300


def test_the_standard_library_is_found_carved_and_ordered_without_the_file_system():
    source = open_stdlib(TextDataConfig())["train"]
    paths = [document.key for document in source.documents(None)]
    root = Path(sysconfig.get_path("stdlib"))
    assert {"json/decoder.py", "email/message.py", "random.py"} <= set(paths)
    assert len(paths) == len(set(paths))
    assert paths != sorted(paths)
    assert not any(set(Path(path).parts) & {"test", "tests", "idlelib"} for path in paths)
    assert (root / paths[0]).is_file()
    config = TextDataConfig(limit=60)
    found = survey(source, "")
    assert not found.bad
    splits = carve({"train": source}, config, found)
    names = {role: {t.name for t in texts(split)} for role, split in splits.items()}
    assert len(names["train"]) == 60
    assert 10 < len(names["validation"]) <= 60
    assert 10 < len(names["test"]) <= 60
    assert not names["train"] & names["validation"]
    assert not names["train"] & names["test"]
    assert not names["validation"] & names["test"]


def test_a_byte_order_mark_begins_a_file_and_is_none_of_its_text(tmp_path):
    path = tmp_path / "windows.txt"
    path.write_bytes("\ufeffone\ntwo \ufeff".encode())
    whole, lines = TextFiles([path], tmp_path), TextFiles([path], tmp_path, "\n")
    assert [text.text for text in texts(whole)] == ["one\ntwo \ufeff"]
    assert [text.text for text in texts(lines)] == ["one", "two \ufeff"]
    path.write_bytes(b"\xef\xbb\xbfab\xff")
    assert "byte 5 is 0xff" in str(survey(whole, "").bad[0])
