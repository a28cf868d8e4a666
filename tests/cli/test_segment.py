"""``wbt segment``, ``wbt attention`` and ``wbt pca`` as a user types them, on a tiny model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import Dinov2Config, Dinov2Model, ViTImageProcessor
from typer.testing import CliRunner, Result

from whitebox_transformers import CrateConfig, CrateForImageClassification, CrateImageProcessor
from whitebox_transformers.segmentation import box_of, mask_of_rle
from whitebox_transformers_cli.app import app
from whitebox_transformers_cli.image_reading import score_text

SMALL = {"image_size": 16, "hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 3}


def wbt(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def crate(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("crate")
    torch.manual_seed(0)
    CrateForImageClassification(CrateConfig(patch_size=4, **SMALL)).save_pretrained(folder)
    CrateImageProcessor().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def dinov2(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("dinov2")
    torch.manual_seed(0)
    Dinov2Model(Dinov2Config(patch_size=4, **SMALL)).save_pretrained(folder)
    ViTImageProcessor(size={"height": 16, "width": 16}).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    """Two images of a bright square on a dark ground, one broken, and their masks."""
    folder = tmp_path_factory.mktemp("pictures")
    for kind in ("images", "masks"):
        (folder / kind).mkdir()
    rng = np.random.default_rng(0)
    for number in range(2):
        values = rng.integers(0, 40, (48, 64, 3), dtype=np.uint8)
        mask = np.zeros((48, 64), dtype=bool)
        mask[12:36, 16 + 8 * number : 40 + 8 * number] = True
        values[mask] += np.uint8(200)
        Image.fromarray(values).save(folder / "images" / f"{number}.png")
        Image.fromarray(mask).save(folder / "masks" / f"{number}.png")
    (folder / "images" / "broken.png").write_bytes(b"\x89PNG nothing more")
    return folder


def coco_of(folder: Path) -> Path:
    entries = []
    for number in range(2):
        mask = np.asarray(Image.open(folder / "masks" / f"{number}.png"))
        left, top, width, height = box_of(mask)
        corners = [left, top, left + width, top, left + width, top + height, left, top + height]
        entries.append(
            {"id": number, "image_id": number, "category_id": 9, "iscrowd": 0,
             "bbox": [left, top, width, height], "area": width * height, "segmentation": [corners]}
        )  # fmt: skip
    pictures = [{"id": n, "file_name": f"{n}.png", "height": 48, "width": 64} for n in range(2)]
    content = {"images": pictures, "annotations": entries, "categories": [{"id": 9, "name": "x"}]}
    path = folder / "coco.json"
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize("model", ["crate", "dinov2"])
def test_segment_draws_and_scores_and_goes_on_after_a_broken_image(
    model, request, images, tmp_path
) -> None:
    run, coco = request.getfixturevalue(model), coco_of(images)
    result = wbt(
        "segment", run, images / "images", "--masks", images / "masks", "--coco", coco,
        "--resolution", 64, "--layer", 2, "--out", tmp_path, "--device", "cpu",
    )  # fmt: skip
    assert result.exit_code == 1, result.output
    assert "broken.png" in result.stderr
    assert "mask AP50" in result.stdout
    assert "IoU of the first mask" in result.stdout
    for number in range(2):
        with Image.open(tmp_path / "pictures" / f"{number}.png") as picture:
            assert picture.width > 300
    lines = [json.loads(line) for line in (tmp_path / "objects.jsonl").read_text().splitlines()]
    assert [Path(line["image"]).name for line in lines] == ["0.png", "1.png"]
    for line in lines:
        for found in line["objects"]:
            mask = mask_of_rle(found["mask"])
            assert mask.shape == (48, 64)
            assert list(box_of(mask)) == found["box"]
    record = json.loads((tmp_path / "segmentation.json").read_text())
    assert record["images"] == 2
    assert record["left_out"] == 1
    assert record["maskcut"]["layer"] == 1
    assert 0 <= record["scores"]["mask_ap"] <= record["scores"]["mask_ap50"] <= 1
    assert 0 < record["scores"]["max_f"] <= 1


def test_segment_without_pictures_or_truth(crate, images, tmp_path) -> None:
    result = wbt(
        "segment", crate, images / "images" / "0.png", "--resolution", 32, "--no-pictures",
        "--out", tmp_path, "--keep-shape",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert not (tmp_path / "pictures").exists()
    assert json.loads((tmp_path / "segmentation.json").read_text())["scores"] == {}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--layer", 3], "layer 2 does not exist"),
        (["--resolution", 4000], "1,000,000 patches of 4 x 4"),
        (["--masks", "nowhere"], "nowhere is no folder"),
        (["--coco", "nowhere.json"], "nowhere.json cannot be read"),
    ],
)
def test_segment_refuses_before_it_works(crate, images, tmp_path, options, said) -> None:
    result = wbt("segment", crate, images / "images", "--out", tmp_path / "out", *options)
    assert result.exit_code == 2, result.output
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("model", ["crate", "dinov2"])
def test_attention_draws_scores_and_compares_with_noise(model, request, images, tmp_path) -> None:
    result = wbt(
        "attention", request.getfixturevalue(model), images / "images", "--masks", images / "masks",
        "--resolution", 32, "--layer", 1, "--head", 3, "--head", 1, "--mass", 0.6,
        "--noise", 10, "--noise", 60, "--noise-share", 0.5, "--out", tmp_path,
    )  # fmt: skip
    assert result.exit_code == 1, result.output
    assert "broken.png" in result.stderr
    assert "noise 60: correlation" in result.stdout
    record = json.loads((tmp_path / "attention.json").read_text())
    assert [row["head"] for row in record["by_head"]] == [2, 0]
    assert record["attention"]["layer"] == 0
    assert set(record["stability"]) == {"10.0", "60.0"}
    assert 0 < record["scores"]["best_head_miou"] <= 1
    assert record["stability"]["10.0"]["correlation"] > record["stability"]["60.0"]["correlation"]
    with Image.open(tmp_path / "pictures" / "1.png") as picture:
        assert picture.width > 300


def test_attention_shows_the_papers_layer_if_nothing_is_said(crate, dinov2, images) -> None:
    for run, layer in ((crate, 1), (dinov2, 2)):
        result = wbt("attention", run, images / "images" / "0.png", "--no-pictures", "--noise", 5)
        assert result.exit_code == 0, result.output
        assert f"layer {layer}" in result.stdout
        assert (run / "attention" / "attention.json").is_file()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--head", 9], "head 8 does not exist"),
        (["--mass", 2.0], "mass=2.0"),
        (["--noise", -1.0], "deviation -1.0"),
    ],
)
def test_attention_refuses_before_it_works(crate, images, options, said) -> None:
    result = wbt("attention", crate, images / "images", *options)
    assert result.exit_code == 2, result.output
    assert said in result.stderr


@pytest.mark.parametrize("model", ["crate", "dinov2"])
def test_pca_is_fitted_to_all_images_together(model, request, images, tmp_path) -> None:
    run = request.getfixturevalue(model)
    options = ["--resolution", 32, "--layer", 1, "--device", "cpu"]
    result = wbt("pca", run, images / "images", *options, "--out", tmp_path / "both")
    assert result.exit_code == 1, result.output
    assert result.stderr.count("broken.png") == 1
    assert "of 128 tokens" in result.stdout
    with Image.open(tmp_path / "both" / "pictures" / "1.png") as picture:
        assert picture.width > 300
    record = json.loads((tmp_path / "both" / "pca.json").read_text())
    assert (record["images"], record["left_out"], record["tokens"]) == (2, 1, 128)
    inverted = wbt("pca", run, images / "images", *options, "--invert", "--out", tmp_path / "other")
    assert inverted.exit_code == 1, inverted.output
    other = json.loads((tmp_path / "other" / "pca.json").read_text())
    assert other["foreground_share"] == pytest.approx(1 - record["foreground_share"])


def test_signs_turn_colours_around(crate, images, tmp_path) -> None:
    for signs in ("+++", "---"):
        options = ["--signs", signs, "--all-tokens", "--resolution", 32, "--out", tmp_path / signs]
        result = wbt("pca", crate, images / "images" / "0.png", *options)
        assert result.exit_code == 0, result.output
    a, b = (
        np.asarray(Image.open(tmp_path / signs / "pictures" / "0.png").convert("RGB")).astype(int)
        for signs in ("+++", "---")
    )
    assert a.shape == b.shape
    right = np.s_[a.shape[0] // 2 - 20 : a.shape[0] // 2 + 20, 3 * a.shape[1] // 4 :]
    assert np.abs(a - b)[right].mean() > 20
    for options, said in ((["--signs", "+x"], "three of"), (["--threshold", 3], "threshold=3")):
        result = wbt("pca", crate, images / "images", *options)
        assert result.exit_code == 2
        assert said in result.stderr


def test_a_score_that_could_not_be_had_says_so() -> None:
    assert [score_text(value) for value in (0.25, float("nan"))] == ["0.250", "nothing drawn"]
