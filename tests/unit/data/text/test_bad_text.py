"""Wrong text is refused before any work, in one line that names it."""

from __future__ import annotations

import pytest

from whitebox_transformers.data.text import TextDataConfig, TokenizerConfig
from whitebox_transformers.errors import UserError

from .conftest import build, prose, write_folder


def refused(match: str, path, **data) -> None:
    with pytest.raises(UserError, match=match) as caught:
        build(path, **data)
    assert "\n" not in str(caught.value)


def test_no_such_file_and_an_empty_one(tmp_path):
    refused(r"data\.path=.*there is no file .*none\.txt", tmp_path / "none.txt")
    (tmp_path / "empty.txt").touch()
    refused(r"empty\.txt is empty \(0 bytes\)", tmp_path / "empty.txt")
    (tmp_path / "nothing").mkdir()
    refused("nothing holds no file", tmp_path / "nothing")
    refused("holds no file named data.pattern=", write_folder(tmp_path / "t", [9]), pattern="*.md")
    refused("is a folder; set data.source=folder", tmp_path / "t", source="file")


def test_a_file_that_is_not_utf_8_is_named_with_the_byte(tmp_path):
    path = tmp_path / "latin.txt"
    path.write_bytes(b"na\xefve " * 100)
    refused(r"latin\.txt: not UTF-8: byte 2 is 0xef, ", path)
    path.write_bytes(b"plain\n" * 50 + b"na\xefve\n" + b"plain\n" * 50)
    refused(r"latin\.txt line 51: not UTF-8: byte 302 is 0xef, ", path, separator="\n")


def test_binary_files_in_a_folder_are_listed(folder):
    (folder / "picture.png").write_bytes(b"\x89PNG\0\0")
    refused(r"1 of 25 documents cannot be used: .*picture\.png: binary: byte 4 is zero", folder)
    refused(r"above data\.max_bad=0\.001", folder, on_bad="skip")
    data = build(folder, on_bad="skip", max_bad=0.1)
    splits = (data.train, data.validation, data.test)
    assert sum(len(split.corpus.starts) for split in splits) == 24


def test_a_separator_that_never_occurs(folder, tmp_path):
    refused(r"data\.separator='@@' does not occur in 24 files, e\.g\. .*00\.txt", folder,
            separator="@@")  # fmt: skip
    path = tmp_path / "one.txt"
    path.write_text("no end", encoding="utf-8")
    refused(r"does not occur in .*one\.txt; null makes", path, separator="\n")


def test_a_text_shorter_than_one_block(tmp_path):
    path = tmp_path / "short.txt"
    path.write_text(" \n\t\n", encoding="utf-8")
    refused(r"short\.txt holds no text, only white space", path)
    path.write_text("a b c", encoding="utf-8")
    refused(r"short\.txt has 5 characters, of which data\.test_share=0\.1 is none", path)
    path.write_text(prose(0, 40), encoding="utf-8")
    refused(r"the test text of .*short\.txt has \d+ tokens, fewer than one block of 64", path,
            context=64)  # fmt: skip
    refused("the train text of .* fewer than one block", path, context=200, test_share=0,
            validation_path=str(write_folder(tmp_path / "v", [300]) / "00.txt"))  # fmt: skip


def test_a_split_without_documents(tmp_path):
    refused("no document of .* falls into the .* split; change data", write_folder(tmp_path / "t",
            [50, 50]))  # fmt: skip
    refused("has no validation text; give data.validation_path", tmp_path / "t",
            validation_share=0)  # fmt: skip


@pytest.mark.parametrize(
    ("keys", "match"),
    [
        ({"source": "file"}, r"data\.path is missing: data\.source=file needs one"),
        ({"separator": ""}, r'data\.separator="" separates nothing'),
        ({"validation_share": 1.0}, r"data\.validation_share=1\.0 is out of range"),
        ({"validation_share": 0.6, "test_share": 0.5}, "leave no training text"),
        ({"limit": 0}, r"data\.limit=0 is out of range"),
        ({"limit_mib": 0.0}, r"data\.limit_mib=0\.0 must be above 0"),
        ({"carve": "lines"}, r"data\.carve='lines' is not known"),
    ],
)
def test_wrong_keys(keys, match):
    with pytest.raises(UserError, match=match):
        TextDataConfig(**keys)


def test_wrong_tokenizer_keys():
    with pytest.raises(UserError, match=r"tokenizer\.kind='wordpiece' is not known"):
        TokenizerConfig(kind="wordpiece")
    with pytest.raises(UserError, match=r"tokenizer\.sample_mib=0 must be above 0"):
        TokenizerConfig(sample_mib=0)
