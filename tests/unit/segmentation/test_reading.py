"""Images of any shape are read in whole patches; what cannot be used is named and counted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from whitebox_transformers import CrateConfig, CrateImageProcessor, CrateModel
from whitebox_transformers.data.faults import Fault
from whitebox_transformers.errors import UserError
from whitebox_transformers.segmentation.batch import NAMED, Batch
from whitebox_transformers.segmentation.encoder import ImageEncoder, load_encoder
from whitebox_transformers.segmentation.reading import (
    Reading,
    image_files,
    input_size,
    read_image,
)


@pytest.fixture
def encoder() -> ImageEncoder:
    config = CrateConfig(
        image_size=16, patch_size=4, hidden_size=8, num_hidden_layers=1, num_attention_heads=2
    )
    torch.manual_seed(0)
    return ImageEncoder("tiny", CrateModel(config).eval(), CrateImageProcessor())


def picture(path: Path, width: int, height: int, mode: str = "RGB") -> Path:
    values = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(values).convert(mode).save(path)
    return path


def test_sizes_are_whole_patches() -> None:
    assert input_size((100, 300), (8, 8), Reading()) == (480, 480)
    assert input_size((100, 300), (14, 14), Reading()) == (476, 476)
    assert input_size((100, 300), (4, 4), Reading()) == (240, 240)
    assert input_size((100, 300), (8, 16), Reading(100)) == (96, 96)
    assert input_size((1, 1), (16, 16), Reading(3)) == (16, 16)
    tall, wide = input_size((100, 400), (8, 8), Reading(480, keep_shape=True))
    assert (tall, wide) == (240, 960)


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "CMYK"])
def test_any_image_is_read(encoder, tmp_path, mode) -> None:
    suffix = "tif" if mode == "CMYK" else "png"
    image = read_image(picture(tmp_path / f"a.{suffix}", 30, 20, mode), encoder, Reading(24))
    assert image.pixel_values.shape == (1, 3, 24, 24)
    assert image.size == (20, 30)
    assert image.read == (24, 24)
    assert image.image.mode == "RGB"


def test_values_are_those_of_the_models_processor(encoder, tmp_path) -> None:
    path = picture(tmp_path / "a.png", 16, 24)
    image = read_image(path, encoder, Reading(16))
    small = Image.open(path).resize((16, 16), Image.Resampling.LANCZOS)
    values = np.asarray(small).astype(np.float32).transpose(2, 0, 1) / 255
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    expected = (values - mean[:, None, None]) / std[:, None, None]
    np.testing.assert_allclose(image.pixel_values[0], expected, atol=1e-5)


def test_limits_name_the_image_and_the_mend(encoder, tmp_path) -> None:
    panorama = picture(tmp_path / "long.png", 300, 20)
    with pytest.raises(Fault, match=r"long\.png: 300 x 20 .* cut it into pieces or raise"):
        read_image(panorama, encoder, Reading(16))
    assert read_image(panorama, encoder, Reading(16, longest=20)).read == (16, 16)
    with pytest.raises(Fault, match=r"limit 5000; scale it down or raise --max-pixels"):
        read_image(panorama, encoder, Reading(16, max_pixels=5000, longest=20))


def test_one_bad_image_does_not_end_the_batch(encoder, tmp_path) -> None:
    good = picture(tmp_path / "a.png", 30, 20)
    empty = tmp_path / "b.png"
    empty.write_bytes(b"")
    missing, late = tmp_path / "none.png", picture(tmp_path / "z.png", 9, 9)
    batch = Batch(encoder, [empty, good, *[missing] * (NAMED + 5), late], Reading(16))
    seen = [image.path for image, _ in batch.each(lambda image: None, "test")]
    assert seen == [good, late]
    assert (batch.used, batch.left_out, len(batch.reasons)) == (2, NAMED + 6, NAMED)
    assert "0 bytes" in batch.reasons[0]


def test_a_batch_of_nothing_but_bad_images_is_an_error(encoder, tmp_path) -> None:
    (tmp_path / "b.png").write_bytes(b"x")
    batch = Batch(encoder, [tmp_path / "b.png"], Reading(16))
    with pytest.raises(UserError, match="none of the images can be used"):
        list(batch.each(lambda image: None, "test"))


def test_too_many_patches_are_refused_with_a_resolution_that_fits(encoder) -> None:
    batch = Batch(encoder, [], Reading(400))
    with pytest.raises(UserError, match=r"10,000 patches .* choose 39 or less"):
        batch.check_patches(99, "for a test")
    Batch(encoder, [], Reading(39)).check_patches(100, "for a test")


def test_files_and_folders_are_found(tmp_path) -> None:
    first = picture(tmp_path / "b.png", 4, 4)
    (tmp_path / "sub").mkdir()
    second = picture(tmp_path / "sub" / "a.jpg", 4, 4)
    (tmp_path / "notes.txt").write_text("no image")
    assert image_files([tmp_path]) == [first, second]
    assert image_files([second, "none.png"]) == [second, Path("none.png")]
    with pytest.raises(UserError, match=r"none\.png does not exist"):
        image_files(["none.png"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no image"):
        image_files([tmp_path / "empty"])
    with pytest.raises(UserError, match="no image is named"):
        image_files([])


def test_models_that_do_not_fit_are_refused(encoder, tmp_path) -> None:
    with pytest.raises(UserError, match="holds no model"):
        load_encoder(tmp_path)
    encoder.model.save_pretrained(tmp_path)
    with pytest.raises(UserError, match=r"no preprocessor_config.*save_pretrained"):
        load_encoder(tmp_path)
    encoder.processor.save_pretrained(tmp_path)
    loaded = load_encoder(tmp_path, "cpu")
    assert loaded.patch == (4, 4)
    assert loaded.channels == 3
    with pytest.raises(UserError, match="resolution=0"):
        Reading(0)
