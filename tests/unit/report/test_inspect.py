"""`inspect` on real, very short runs: what it writes, and what it refuses."""

import json
import re

import numpy as np
import pytest
from safetensors.torch import load_file
from tests.unit.report.short_run import CRATE, VIT, short_run

from whitebox_transformers.errors import UserError
from whitebox_transformers.report.examples import (
    examples_from_files,
    picture_of,
    without_common_folder,
)
from whitebox_transformers.report.inspect import inspect
from whitebox_transformers.tasks import TASKS
from whitebox_transformers.training.compare import Comparison, Row

Image = pytest.importorskip("PIL.Image")
pytest.importorskip("matplotlib")
pytest.importorskip("sklearn")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return short_run(tmp_path_factory.mktemp("runs") / "crate", CRATE)


@pytest.fixture(scope="module")
def run(finished):
    return finished.folder


@pytest.fixture(scope="module")
def inspected(run, tmp_path_factory):
    images = tmp_path_factory.mktemp("images")
    Image.new("L", (30, 20), 90).save(images / "grey.png")
    (images / "broken.png").write_text("no image")
    paths = [images / "grey.png", images / "broken.png"]
    before = load_file(run / "model.safetensors")
    result = inspect(run, images=paths, samples=17)
    after = load_file(run / "model.safetensors")
    assert all((before[key] == after[key]).all() for key in before)
    return result


def test_every_set_of_weights_is_measured_on_the_samples_asked_for(inspected):
    numbers = json.loads(inspected.json.read_text())
    assert {split: found["count"] for split, found in numbers["trained"].items()} == {
        "train": 17,
        "validation": 17,
    }
    assert numbers["control"].keys() == numbers["trained"].keys()
    assert numbers["checkpoints"].keys() == {"0", "1"}
    curves = numbers["trained"]["validation"]["curves"]
    for key in ("rate-published-z", "rate-published-z-half", "rate-definition-z",
                "rate-definition-z-half", "nonzero-share", "norm-z-half"):  # fmt: skip
        assert len(curves[key]["mean"]) == len(curves[key]["std"]) == 2
        assert np.isfinite(curves[key]["mean"]).all()
    assert numbers["inspection"]["versions"]["torch"]
    assert numbers["inspection"]["samples"] == {"train": 17, "validation": 17}
    assert "LN1" in numbers["conventions"]["rate-published-z"]


def test_the_control_is_the_run_before_its_first_step(inspected):
    numbers = json.loads(inspected.json.read_text())
    control = numbers["control"]["validation"]["curves"]["rate-published-z"]["mean"]
    kept = numbers["checkpoints"]["0"]["curves"]["rate-published-z"]["mean"]
    trained = numbers["trained"]["validation"]["curves"]["rate-published-z"]["mean"]
    assert control == pytest.approx(kept, rel=1e-6)
    assert control != pytest.approx(trained, rel=1e-4)


def test_files_are_where_the_result_says_and_nothing_else_is_left(run, inspected):
    folder = run / "inspection"
    written = {inspected.json, inspected.html, *inspected.pngs}
    assert set(folder.iterdir()) == written
    stems = {path.stem for path in inspected.pngs}
    assert {"rate-published-z", "subspaces", "dictionary", "tokens", "attention-1"} <= stems
    assert "attention-2" not in stems


def test_a_bad_image_is_named_and_the_others_are_shown(inspected):
    assert len(inspected.left_out) == 1
    assert "broken.png" in inspected.left_out[0]
    page = inspected.html.read_text()
    assert "broken.png" in page
    predictions = json.loads(inspected.json.read_text())["predictions"]
    assert [entry["image"] for entry in predictions] == ["grey.png"]
    assert sum(predictions[0]["ranking"].values()) <= 1 + 1e-6


def test_only_bad_images_are_refused_before_any_work(run, tmp_path):
    with pytest.raises(UserError, match="missing.png"):
        inspect(run, images=[tmp_path / "missing.png"], out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(UserError, match="not a run folder"):
        inspect(tmp_path)
    with pytest.raises(UserError, match="samples"):
        inspect(tmp_path, samples=0)


@pytest.mark.parametrize(
    ("model", "config", "absent"),
    [
        (VIT, {}, {"subspaces", "dictionary"}),
        (CRATE, {"num_hidden_layers": 1, "compression": "none"}, {"subspaces", "attention"}),
        (CRATE, {"image_size": [4, 8], "compression": "attention"}, {"subspaces"}),
    ],
)
def test_models_without_subspaces_show_the_rest(tmp_path, monkeypatch, model, config, absent):
    monkeypatch.setattr("whitebox_transformers.report.inspect.write_figures", lambda *_: [])
    result = inspect(short_run(tmp_path / "run", model, **config).folder, samples=4)
    shown = set(re.findall(r' id="([^"]+)"', result.html.read_text()))
    assert not shown & (absent | {"rate-published-z", "rate-definition-z-half"})
    assert {"nonzero-share", "rate-raw", "tokens", "predictions"} <= shown


def test_a_pair_stands_on_the_page_of_its_white_box(finished, tmp_path, monkeypatch):
    monkeypatch.setattr("whitebox_transformers.report.inspect.write_figures", lambda *_: [])
    black = short_run(tmp_path / "vit", VIT)
    rows = [Row(finished, (41.0, 32.0), (0.5, 0.2)), Row(black, None, None)]
    pair = Comparison(TASKS["image-classification"], rows, 1.0)
    page = inspect(
        finished.folder, samples=4, out=tmp_path / "out", comparison=pair
    ).html.read_text()
    assert "41 → 32" in page
    assert f"{black.parameters:,}" in page
    assert {"pair-accuracy", "pair-loss"} <= set(re.findall(r' id="([^"]+)"', page))


def test_the_picture_shown_is_what_the_model_saw(run, tmp_path):
    from transformers import AutoImageProcessor

    pixels = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4
    Image.fromarray(pixels).save(tmp_path / "ramp.png")
    processor = AutoImageProcessor.from_pretrained(run)
    (example,), left_out = examples_from_files([tmp_path / "ramp.png"], processor)
    assert left_out == []
    picture = picture_of(example.pixel_values, processor)
    assert picture.shape == (8, 8, 3)
    assert (picture == pixels[..., None]).all()


def test_samples_are_named_without_the_folder_they_share():
    rows = [f"/data/cifar10/train-0{i}.parquet row {i}" for i in (1, 2)]
    assert without_common_folder(rows) == ["train-01.parquet row 1", "train-02.parquet row 2"]
    files = ["/data/pets/cat/1.jpg", "/data/pets/dog/1.jpg"]
    assert without_common_folder(files) == ["cat/1.jpg", "dog/1.jpg"]
    assert without_common_folder(["digits train image 3"]) == ["digits train image 3"]


def test_a_run_on_images_shows_no_texts(run, tmp_path):
    with pytest.raises(UserError, match="a run on images and shows no texts"):
        inspect(run, texts=["a cat"], out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
