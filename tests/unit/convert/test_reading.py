"""Which files are read, which are refused, and that a refusal writes nothing."""

from __future__ import annotations

import argparse
import io
import os
import pathlib
import pickle
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tests.oracles.authors_classifiers import random_alpha, random_crate
from tests.unit.convert.files import reload, save

from whitebox_transformers.convert import convert
from whitebox_transformers.errors import UserError

STATE = random_crate()


def refused(file, tmp_path, *words, **said):
    """Converting raises one line with ``words`` and leaves nothing behind."""
    out = tmp_path / "deep" / "out"
    with pytest.raises(UserError) as caught:
        convert(file, out, **{"heads": 2} | said)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 600
    for word in words:
        assert word in message
    assert not out.parent.exists()
    return message


def prefixed(prefix):
    return OrderedDict((prefix + key, value) for key, value in STATE.items())


@pytest.mark.parametrize(
    "content",
    [
        STATE,
        {"state_dict": STATE, "epoch": 3, "arch": "CRATE_tiny"},
        {"model": prefixed("module."), "optimizer": {"state": {0: torch.zeros(2)}}, "scaler": {}},
        {"state_dict": prefixed("module.backbone.")},
        {"net": prefixed("_orig_mod.")},
        {key: torch.nn.Parameter(value) for key, value in STATE.items()},
        {
            key: value.mT.contiguous().mT if value.dim() == 2 else value
            for key, value in STATE.items()
        },
    ],
    ids=["plain", "state_dict", "model", "backbone", "net", "parameters", "not contiguous"],
)
def test_every_wrapping_gives_the_same_weights(content, tmp_path):
    report = convert(save(tmp_path / "file.pth", content), tmp_path / "out", heads=2)
    parameters = dict(reload(tmp_path / "out").named_parameters())
    for old, new in report.used.items():
        assert torch.equal(parameters[new], STATE[old])
    assert set(report.used) == set(STATE)


def test_entries_beside_the_weights_are_listed(tmp_path):
    content = {"model": STATE, "optimizer": {"state": {0: torch.zeros(2)}}, "epoch": 3}
    report = convert(save(tmp_path / "file.pth", content), tmp_path / "out", heads=2)
    assert report.ignored == ("optimizer", "epoch")
    assert "optimizer, epoch" in str(report)


def test_training_arguments_and_numpy_numbers_are_let_through(tmp_path):
    content = {
        "state_dict": STATE,
        "args": argparse.Namespace(heads=np.int64(6), lr=np.float32(0.1), gpu=None),
        "best_acc1": np.float64(71.5),
        "flags": [np.bool_(True), np.float16(1), np.uint8(3), np.str_("a"), np.complex64(1j)],
    }
    report = convert(save(tmp_path / "file.pth", content), tmp_path / "out")
    assert reload(tmp_path / "out").config.num_attention_heads == 6
    assert "metadata: heads = 6" in str(report)


def test_numpy_numbers_of_older_numpy_are_let_through(tmp_path):
    file = save(tmp_path / "new.pth", {"state_dict": STATE, "best_acc1": np.float64(71.5)})
    old = tmp_path / "old.pth"
    with zipfile.ZipFile(file) as source, zipfile.ZipFile(old, "w", zipfile.ZIP_STORED) as target:
        for name in source.namelist():
            content = source.read(name)
            if name.endswith("data.pkl"):
                assert b"numpy._core.multiarray" in content
                content = content.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
            target.writestr(name, content)
    convert(old, tmp_path / "out", heads=2)


class Surprise:
    def __reduce__(self):
        return os.mkdir, ("surprise",)


@pytest.mark.parametrize(
    ("thing", "name"),
    [
        (pathlib.PurePosixPath("x"), "PurePosixPath"),
        (np.zeros(3), "numpy"),
        (Surprise(), "posix.mkdir"),
        (torch.nn.Linear(2, 2), "torch.nn.modules.linear.Linear"),
    ],
    ids=["path", "array", "code", "module"],
)
def test_other_objects_are_refused_by_name(thing, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = save(tmp_path / "file.pth", {"state_dict": STATE, "extra": thing})
    refused(file, tmp_path, "refused", name)
    assert not pathlib.Path("surprise").exists()


def test_safe_globals_do_not_leak(tmp_path):
    convert(save(tmp_path / "file.pth", STATE), tmp_path / "out", heads=2)
    assert argparse.Namespace not in torch.serialization.get_safe_globals()


def _png() -> bytes:
    return b"\x89PNG\r\n\x1a\n" + bytes(200)


def _zip() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a/readme.txt", "hello")
    return file.getvalue()


FOREIGN = {
    "text": b"epoch,accuracy\n1,0.5\n",
    "image": _png(),
    "zip": _zip(),
    "empty": b"",
    "html": b"<html>Not found</html>",
    "json": b'{"a": 1}',
    "pickle": pickle.dumps({"a": 1}, protocol=4),
    "number": pickle.dumps(3, protocol=2),
    "zeros": bytes(64),
}


@pytest.mark.parametrize("kind", FOREIGN)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_foreign_files(kind, suffix, tmp_path):
    file = tmp_path / f"file{suffix}"
    file.write_bytes(FOREIGN[kind])
    refused(file, tmp_path, str(file))


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_truncated_torch_files(share, legacy, tmp_path):
    file = tmp_path / "file.pth"
    torch.save(STATE, file, _use_new_zipfile_serialization=not legacy)
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    refused(file, tmp_path, "truncated")


def test_a_truncated_file_that_ends_in_a_seek_before_its_start(tmp_path):
    file = tmp_path / "file.pth"
    torch.save({"weight": torch.zeros(16_000)}, file)
    file.write_bytes(file.read_bytes()[:30_000])
    refused(file, tmp_path, "truncated")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.999])
def test_truncated_safetensors(share, tmp_path):
    file = tmp_path / "file.safetensors"
    save_file(STATE, file)
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    refused(file, tmp_path, "safetensors")


def test_paths_that_are_no_files(tmp_path):
    refused(tmp_path / "absent.pth", tmp_path, "does not exist")
    refused(tmp_path, tmp_path, "is a folder")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([1, 2], ("list",)),
        ({}, ("no weights",)),
        ({"epoch": 3, "state_dict": {}}, ("no weights", "epoch")),
        ({"state_dict": STATE, "model": STATE}, ("several", "state_dict, model")),
        (STATE | {"module.cls_token": STATE["cls_token"]}, ("twice", "cls_token")),
        ({"state_dict": STATE | {"step": 3}}, ("'step'", "int")),
        ({"layer.weight": torch.zeros(2)}, ("nothing known", "layer.weight")),
        (STATE | random_alpha(), ("CRATE classifier and CRATE-alpha",)),
    ],
    ids=["list", "empty", "no tensors", "two", "prefix clash", "number", "unknown", "mixed"],
)
def test_content_that_is_no_state_dict(content, words, tmp_path):
    refused(save(tmp_path / "file.pth", content), tmp_path, *words)


BROKEN = {
    "not finite": (lambda w: w.index_fill(0, torch.tensor([0]), torch.nan), "NaN"),
    "infinite": (lambda w: w / 0, "infinite"),
    "integers": (lambda w: w.long(), "torch.int64"),
    "sparse": (lambda w: w.to_sparse(), "sparse"),
    "empty": (lambda w: w[:0], "shape"),
    "transposed": (lambda w: w[:, :7], "shape"),
    "another axis": (lambda w: w[None], "shape"),
    "flat": (lambda w: w.flatten(), "shape"),
}


@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.parametrize(
    "key",
    [
        "to_patch_embedding.2.weight",
        "transformer.layers.0.0.fn.qkv.weight",
        "transformer.layers.1.1.fn.weight",
        "mlp_head.1.weight",
    ],
)
def test_broken_weights_are_named(key, kind, tmp_path):
    damage, word = BROKEN[kind]
    file = save(tmp_path / "file.pth", STATE | {key: damage(STATE[key])})
    refused(file, tmp_path, key, word)


def test_broken_positions_and_biases_are_named(tmp_path):
    for key in ("pos_embedding", "cls_token", "to_patch_embedding.1.bias", "mlp_head.1.bias"):
        file = save(tmp_path / "file.pth", STATE | {key: STATE[key][..., :-1]})
        refused(file, tmp_path, key, "shape")


def test_missing_and_unknown_weights_are_named(tmp_path):
    for key in STATE:
        rest = {name: value for name, value in STATE.items() if name != key}
        file = save(tmp_path / "file.pth", rest)
        if ".to_out.0." not in key and not key.startswith("transformer.layers.1."):
            refused(file, tmp_path, key)
        else:
            refused(file, tmp_path, "without")
    extra = STATE | {"transformer.layers.0.2.gamma": torch.ones(1)}
    refused(save(tmp_path / "file.pth", extra), tmp_path, "transformer.layers.0.2.gamma")


def test_an_alpha_dictionary_that_is_no_multiple_of_the_width(tmp_path):
    state = random_alpha()
    key = "transformer.layers.0.1.fn.D"
    file = save(tmp_path / "file.pth", state | {key: state[key][:, :-1]})
    refused(file, tmp_path, key, "multiple")
