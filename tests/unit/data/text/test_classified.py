"""Labelled texts and pairs: what the model reads, and which class a label is."""

from __future__ import annotations

import json
import logging
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from transformers import AutoTokenizer

from whitebox_transformers import CrateBertConfig, CrateBertForSequenceClassification
from whitebox_transformers.data.loading import evaluation_batches, training_batches
from whitebox_transformers.data.text import TextDataConfig
from whitebox_transformers.errors import UserError

from .conftest import build, prose

TEXTS = [f"{prose(n, 1 + n % 9)} {n}".replace("\n", " ") for n in range(60)]


def write(path: Path, labels: list, texts=TEXTS, pairs=None, names=None) -> Path:
    """A table with columns ``sentence``, ``label`` and perhaps ``second``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = {"sentence": list(texts)} | ({"second": pairs} if pairs else {}) | {"label": labels}
    if path.suffix == ".parquet":
        table = pa.table(columns)
        if names:
            feature = {"label": {"_type": "ClassLabel", "names": names}}
            info = json.dumps({"info": {"features": feature}})
            table = table.replace_schema_metadata({"huggingface": info})
        pq.write_table(table, path)
    else:
        rows = [tuple(columns), *zip(*columns.values(), strict=True)]
        lines = ["\t".join("" if v is None else str(v) for v in row) for row in rows]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def classified(path: Path, kind="bytes", context=64, **keys):
    keys = {"source": "table", "objective": "classification"} | keys
    return build(path, kind, context=context, **keys)


def rows(data) -> dict[str, tuple[str, float]]:
    """Split and label of each text, read off the tokens."""
    found = {}
    for role in ("train", "validation", "test"):
        split = getattr(data, role)
        for index in range(len(split)):
            sample = split[index]
            text = data.tokenizer.decode(sample["input_ids"], skip_special_tokens=True)
            assert text not in found
            found[text] = (role, sample["labels"].item())
    return found


@pytest.mark.parametrize("ending", ["tsv", "parquet"])
def test_every_row_lies_in_one_split_with_its_label(tmp_path, ending):
    labels = [n % 3 for n in range(60)]
    data = classified(write(tmp_path / f"t.{ending}", labels))
    found = rows(data)
    read = {text: label for text, (_, label) in found.items()}
    assert read == dict(zip(TEXTS, labels, strict=True))
    assert set(Counter(role for role, _ in found.values())) == {"train", "validation", "test"}
    assert data.labels == ["0", "1", "2"]
    assert data.train[3, 1]["labels"].dtype == torch.int64


@pytest.mark.parametrize(
    ("stored", "keys", "names", "numbers"),
    [
        (["pos", "neg"], {}, ["neg", "pos"], [1, 0]),
        (["pos", "neg"], {"labels": ["pos", "neg"]}, ["pos", "neg"], [0, 1]),
        ([0, 1], {"labels": ["negative", "positive"]}, ["negative", "positive"], [0, 1]),
        ([10, 9], {}, ["9", "10"], [1, 0]),
        ([True, False], {}, ["False", "True"], [1, 0]),
    ],
)
@pytest.mark.parametrize("ending", ["tsv", "parquet"])
def test_classes_are_named_by_the_recipe_or_by_the_labels(tmp_path, ending, stored, keys, names,
                                                          numbers):  # fmt: skip
    data = classified(write(tmp_path / f"t.{ending}", stored * 30), **keys)
    assert data.labels == names
    assert [rows(data)[text][1] for text in TEXTS] == numbers * 30


def test_names_stored_with_the_data_are_taken(tmp_path):
    path = write(tmp_path / "t.parquet", [1, 0] * 30, names=["no", "yes"])
    assert classified(path).labels == ["no", "yes"]
    write(tmp_path / "set" / "train.parquet", [1, 0] * 30, names=["no", "yes"])
    assert classified(tmp_path / "set", source="hub").labels == ["no", "yes"]


def test_limits_do_not_change_the_classes(tmp_path):
    path = write(tmp_path / "t.tsv", [0] * 55 + [1] * 5)
    data = classified(path, limit=4)
    assert (len(data.train), len(data.test), data.labels) == (4, 4, ["0", "1"])


@pytest.mark.parametrize("kind", ["bytes", "characters", "bpe"])
def test_pairs_are_framed_and_cut_as_the_saved_tokenizer_does(tmp_path, kind):
    second = [f"数 {prose(n + 100, 3 + n % 5)}".replace("\n", " ") for n in range(60)]
    path = write(tmp_path / "t.tsv", [0, 1] * 30, pairs=second)
    data = classified(path, kind, context=40, text_pair_column="second", text_column="sentence")
    data.tokenizer.save_pretrained(tmp_path / "saved")
    saved = AutoTokenizer.from_pretrained(tmp_path / "saved")
    expected = {
        tuple(saved(*texts, truncation=True, max_length=40)["input_ids"])
        for texts in zip(TEXTS, second, strict=True)
    }
    splits = [data.train, data.validation, data.test]
    found = {tuple(s[i]["input_ids"].tolist()) for s in splits for i in range(len(s))}
    assert found == expected
    assert max(map(len, found)) <= 40
    begin, end = saved.cls_token_id, saved.sep_token_id
    assert all(ids[0] == begin and ids[-1] == end for ids in found)
    assert all(list(ids).count(end) == 3 for ids in found)


def test_what_looks_like_a_special_token_is_text(tmp_path):
    texts = [f"a </s> <mask> {n}" for n in range(60)]
    data = classified(write(tmp_path / "t.tsv", [0, 1] * 30, texts))
    assert set(rows(data)) == set(texts)


def test_cut_rows_are_counted(tmp_path, caplog):
    path = write(tmp_path / "t.tsv", [0, 1] * 30)
    long = sum(len(text.encode()) > 30 for text in TEXTS)
    assert 0 < long < 60
    with caplog.at_level(logging.WARNING):
        data = classified(path, context=32)
    counts = [int(record.getMessage().split()[0]) for record in caplog.records]
    assert sum(counts) == long
    assert max(len(data.train[i]["input_ids"]) for i in range(len(data.train))) == 32


def test_a_batch_is_as_long_as_its_longest_text(tmp_path):
    data = classified(write(tmp_path / "t.tsv", [0, 1] * 30))
    split, pad = data.train, data.tokenizer.pad_token_id
    for batch in training_batches(split, 4, epoch=1, workers=1):
        lengths = batch["attention_mask"].sum(1)
        assert batch["input_ids"].shape == (4, int(lengths.max()))
        assert (batch["input_ids"][batch["attention_mask"] == 0] == pad).all()
        assert batch["labels"].shape == (4,)
    assert sum(len(b["labels"]) for b in evaluation_batches(split, 7)) == len(split)


def test_a_model_sees_no_padding(tmp_path):
    data = classified(write(tmp_path / "t.tsv", [0, 1] * 30))
    torch.manual_seed(0)
    config = CrateBertConfig(
        vocab_size=len(data.tokenizer), hidden_size=16, num_hidden_layers=2,
        num_attention_heads=2, max_position_embeddings=80, num_labels=2,
    )  # fmt: skip
    model = CrateBertForSequenceClassification(config).eval()
    (batch,) = evaluation_batches(data.validation, len(data.validation))
    with torch.no_grad():
        logits = model(**batch).logits
        for index in range(len(data.validation)):
            alone = model(input_ids=data.validation[index]["input_ids"][None]).logits[0]
            assert torch.allclose(logits[index], alone, atol=1e-5)


def test_regression_keeps_numbers(tmp_path):
    labels = [n / 7 for n in range(60)]
    data = classified(write(tmp_path / "t.parquet", labels), regression=True)
    assert data.labels == []
    assert data.train[0]["labels"].dtype == torch.float32
    found = [rows(data)[text][1] for text in TEXTS]
    assert found == pytest.approx(labels)


def refused(match: str, path: Path, **keys) -> None:
    with pytest.raises(UserError, match=match) as caught:
        classified(path, **keys)
    assert "\n" not in str(caught.value)


def test_missing_labels(tmp_path):
    train = write(tmp_path / "train.tsv", [0, 1] * 30)
    kept_back = write(tmp_path / "test.tsv", [-1] * 60)
    refused(r"labels are missing: none of the 60 test rows of .* has one \(.*test\.tsv line 2: "
            r"there is no label, but '-1'\); choose", train, test_path=str(kept_back))  # fmt: skip
    bare = tmp_path / "bare.tsv"
    bare.write_text("index\tsentence\n0\tfine\n", encoding="utf-8")
    refused(r"bare\.tsv has no labels: no column 'label' or 'labels' .*it has: index, sen", bare)
    refused(r"bare\.tsv has no column 'label' \(data\.label_column\)", train, test_path=str(bare))
    refused("no column 'answer'", train, label_column="answer")
    refused("labels are missing: no row of .* has one", write(tmp_path / "n.tsv", [None] * 60))
    some = write(tmp_path / "some.tsv", [0, 1] * 29 + [0, ""])
    refused(r"1 of 60 rows cannot be used: .*line 61: there is no label, but ''", some)
    assert len(rows(classified(some, on_bad="skip", max_bad=0.1))) == 59


def test_labels_that_are_no_classes(tmp_path):
    refused("has 1 class .* a classifier needs two", write(tmp_path / "a.tsv", ["x"] * 60))
    refused("labels such as .* are no classes; set data.regression=true",
            write(tmp_path / "b.tsv", [n + 0.5 for n in range(60)]))  # fmt: skip
    texts = [f"text {n}" for n in range(1200)]
    refused("has 1200 different values, too many for classes",
            write(tmp_path / "c.tsv", texts, texts))  # fmt: skip
    train = write(tmp_path / "d.tsv", ["yes", "no"] * 30)
    refused(r"60 of 1\d\d rows cannot be used: .*line 2: label 'maybe' is none of the "
            r"classes \(no, yes\)", train,
            validation_path=str(write(tmp_path / "e.tsv", ["maybe"] * 60)))  # fmt: skip
    refused("label 'yes' is no number", train, regression=True)
    with pytest.raises(UserError, match=r"data\.labels names classes, which data\.regression"):
        TextDataConfig(regression=True, labels=["a", "b"])


def test_other_mistakes(tmp_path):
    path = write(tmp_path / "t.tsv", [0, 1] * 30)
    refused(r"data\.source=file has no labels; classification needs rows", path, source="file")
    refused(r"no column 'second' \(data\.text_pair_column\)", path, text_pair_column="second")
    refused("a context of 2 tokens is too short; at least 3 are needed", path, context=2)
    pairs = ["b"] * 59 + [None]
    path = write(tmp_path / "t.parquet", [0, 1] * 30, pairs=pairs)
    refused("row 59: there is no text under 'second'", path, text_pair_column="second")


def test_sst_2(data_dir):
    folder = data_dir / "sst2"
    data = classified(
        folder / "train.tsv",
        validation_path=str(folder / "dev.tsv"),
        test_path=str(folder / "test-labeled.tsv"),
        labels=["negative", "positive"],
        context=128,
        limit=2000,
    )
    assert (len(data.train), len(data.validation), len(data.test)) == (2000, 872, 1821)
    share = data.validation.labels.double().mean().item()
    assert share == pytest.approx(0.509, abs=5e-4)
    assert data.test.labels.double().mean().item() == pytest.approx(0.499, abs=5e-3)
    first = data.tokenizer.decode(data.validation[0]["input_ids"], skip_special_tokens=True)
    assert first == "it 's a charming and often affecting journey . "
