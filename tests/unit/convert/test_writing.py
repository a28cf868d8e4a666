"""The folder: complete, loadable by name, whole or not there at all."""

from __future__ import annotations

import importlib.util
import stat

import pytest
import torch
from tests.oracles.authors_classifiers import random_crate
from tests.unit.convert.files import reload, save
from transformers import AutoImageProcessor, AutoModelForImageClassification, pipeline

from whitebox_transformers.convert import convert
from whitebox_transformers.crate import CrateForImageClassification
from whitebox_transformers.errors import UserError


@pytest.fixture
def file(tmp_path):
    return save(tmp_path / "file.pth", random_crate(image=(32, 32), patch=(16, 16)))


def test_auto_classes_and_pipeline_read_it(file, tmp_path):
    pillow = pytest.importorskip("PIL.Image")
    out = tmp_path / "out"
    convert(file, out, heads=2)
    assert isinstance(
        AutoModelForImageClassification.from_pretrained(out), CrateForImageClassification
    )
    processor = AutoImageProcessor.from_pretrained(out)
    picture = pillow.new("RGB", (50, 40), "red")
    assert processor(picture, return_tensors="pt").pixel_values.shape == (1, 3, 32, 32)
    assert len(pipeline("image-classification", str(out))(picture, top_k=5)) == 5


def test_the_card_names_file_settings_and_drops(tmp_path):
    file = save(tmp_path / "crate-demo.pth", {"model": random_crate(demo_classes=4)})
    convert(file, tmp_path / "out", heads=2)
    card = (tmp_path / "out" / "README.md").read_text()
    for words in ("crate-demo.pth", "| heads | 2 | flag |", "`head.weight` is dropped"):
        assert words in card
    assert str(tmp_path) not in card


@pytest.mark.parametrize("kind", ["folder", "file", "dead link"])
def test_an_existing_place_is_refused_untouched(kind, file, tmp_path):
    out = tmp_path / "out"
    if kind == "folder":
        out.mkdir()
    elif kind == "file":
        out.write_text("mine")
    else:
        out.symlink_to(tmp_path / "nowhere")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(UserError, match="exists already"):
        convert(file, out, heads=2)
    assert sorted(tmp_path.iterdir()) == before
    assert kind != "file" or out.read_text() == "mine"


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_nothing_is_left_of_an_interrupted_conversion(error, file, tmp_path, monkeypatch):
    def fail(*args):
        raise error

    monkeypatch.setattr("whitebox_transformers.convert.conversion.write_card", fail)
    with pytest.raises(UserError if isinstance(error, OSError) else KeyboardInterrupt):
        convert(file, tmp_path / "out", heads=2)
    assert list(tmp_path.iterdir()) == [file]


def test_an_unwritable_place_is_one_line(file, tmp_path):
    (tmp_path / "wall").write_text("a file, not a folder")
    with pytest.raises(UserError, match="cannot be written"):
        convert(file, tmp_path / "wall" / "out", heads=2)


def test_the_folder_is_as_open_as_any_new_folder(file, tmp_path):
    (tmp_path / "ordinary").mkdir()
    convert(file, tmp_path / "out", heads=2)
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("ordinary", "out")}
    assert len(modes) == 1


def test_the_floating_type_is_kept(tmp_path):
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        state = {key: value.to(dtype) for key, value in random_crate().items()}
        out = tmp_path / str(dtype)
        report = convert(save(tmp_path / "file.pth", state), out, heads=2)
        assert report.dtype == str(dtype).removeprefix("torch.")
        assert reload(out).dtype == dtype


def test_mixed_types_take_the_narrowest_that_holds_them(tmp_path):
    state = random_crate()
    half = {k: v.half() if "norm" in k else v.bfloat16() for k, v in state.items()}
    report = convert(save(tmp_path / "file.pth", half), tmp_path / "out", heads=2)
    assert report.dtype == "float32"
    weights = dict(reload(tmp_path / "out").named_parameters())
    for old, new in report.used.items():
        assert torch.equal(weights[new], half[old].float())


def test_tied_tensors_become_weights_of_their_own(tmp_path):
    state = random_crate()
    shared = state["transformer.layers.0.1.fn.weight"]
    state["transformer.layers.1.1.fn.weight"] = shared
    convert(save(tmp_path / "file.pth", state), tmp_path / "out", heads=2)
    layers = reload(tmp_path / "out").crate.stack.layers
    first, second = (layer.sparsify.ista.dictionary for layer in layers)
    assert torch.equal(first, second)
    assert first.data_ptr() != second.data_ptr()


def test_without_pillow_the_folder_has_no_preprocessor_and_says_so(file, tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    report = convert(file, tmp_path / "out", heads=2)
    assert "Pillow" in str(report)
    assert not (tmp_path / "out" / "preprocessor_config.json").exists()
