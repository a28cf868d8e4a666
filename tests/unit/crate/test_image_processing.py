import io
import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tests.oracles.preprocessing import preprocess, to_eight_bit_channels
from transformers import AutoImageProcessor, pipeline

from whitebox_transformers.crate import (
    CrateConfig,
    CrateForImageClassification,
    CrateImageProcessor,
)

MEAN, STD = {1: (0.4,), 3: (0.485, 0.456, 0.406)}, {1: (0.3,), 3: (0.229, 0.224, 0.225)}


def noise(height, width, channels=3, seed=0):
    shape = (height, width, channels) if channels > 1 else (height, width)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def processor(edge=16, crop=12, channels=3, **kwargs):
    return CrateImageProcessor(
        size={"shortest_edge": edge},
        crop_size=crop,
        num_channels=channels,
        image_mean=MEAN[channels],
        image_std=STD[channels],
        **kwargs,
    )


def values(process, image):
    return process(images=image, return_tensors="pt").pixel_values


@given(
    height=st.integers(1, 60),
    width=st.integers(1, 60),
    mode=st.sampled_from(["L", "RGB", "RGBA", "LA", "I;16", "P", "CMYK", "1"]),
    channels=st.sampled_from([1, 3]),
)
def test_equals_the_transcription(height, width, mode, channels):
    image = image_of_mode(mode, height, width)
    ours = values(processor(channels=channels), image)[0].numpy()
    theirs = preprocess(image, 16, 12, MEAN[channels], STD[channels], channels)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, theirs, atol=0.02 if mode in ("RGBA", "LA") else 1e-5)


def image_of_mode(mode, height, width):
    if mode == "I;16":
        sixteen = np.random.default_rng(1).integers(0, 65536, (height, width), dtype=np.uint16)
        return Image.fromarray(sixteen)
    if mode in ("RGBA", "CMYK"):
        return Image.fromarray(noise(height, width, 4), mode=None).convert(mode)
    return Image.fromarray(noise(height, width)).convert(mode)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_stands_images_upright(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    Image.fromarray(noise(20, 40)).save(file, "PNG", exif=exif)
    image = Image.open(file)
    expected = to_eight_bit_channels(image, 3)
    assert np.array_equal(np.asarray(processor().prepare(image)), np.asarray(expected))


def test_transparent_pixels_become_white():
    clear = Image.new("RGBA", (5, 5), (10, 20, 30, 0))
    palette = Image.new("P", (5, 5), 0)
    palette.info["transparency"] = 0
    grey = Image.new("L", (5, 5), 7)
    grey.info["transparency"] = 7
    for image in (clear, palette, grey, Image.new("LA", (5, 5), (9, 0))):
        for channels in (1, 3):
            assert np.asarray(processor(channels=channels).prepare(image)).min() == 255


def test_sixteen_bits_keep_their_range():
    sixteen = np.array([[0, 257, 32768, 65535]], dtype=np.uint16)
    expected = [[0, 1, 128, 255]]
    assert np.asarray(processor(channels=1).prepare(Image.fromarray(sixteen))).tolist() == expected
    as_array = processor(channels=1, do_resize=False, do_center_crop=False)
    got = as_array(sixteen, do_normalize=False, do_rescale=False).pixel_values[0]
    assert got.tolist() == [expected]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", ["pil", "numpy", "numpy-first", "tensor", "float", "batch"])
def test_kinds_of_input_agree(kind, channels):
    pixels = noise(20, 30)
    image = {
        "pil": Image.fromarray(pixels),
        "numpy": pixels,
        "numpy-first": pixels.transpose(2, 0, 1),
        "tensor": torch.from_numpy(pixels).permute(2, 0, 1),
        "float": pixels.astype(np.float32) / 255,
        "batch": np.stack([pixels, pixels]),
    }[kind]
    process = processor(channels=channels)
    expected = values(process, Image.fromarray(pixels))
    got = values(process, image)
    assert got.shape == (2 if kind == "batch" else 1, channels, 12, 12)
    assert torch.equal(got[:1], expected)


def test_a_grey_array_alone_and_in_a_list():
    process, pixels = processor(8, 8, 1), noise(8, 8, 1)
    assert torch.equal(values(process, pixels), values(process, [pixels]))
    assert values(process, pixels).shape == (1, 1, 8, 8)


@pytest.mark.parametrize("shape", [(1, 1), (1, 3000), (3000, 1), (3, 5)])
def test_tiny_and_thin_images(shape):
    assert values(processor(256, 224), Image.new("RGB", shape)).shape == (1, 3, 224, 224)


@pytest.mark.parametrize(("height", "width"), [(8, 24), (24, 8)])
@pytest.mark.parametrize("shape", [(10, 10), (50, 7), (7, 50)])
def test_a_rectangular_crop_is_covered(height, width, shape):
    box = {"height": height, "width": width}
    process = CrateImageProcessor(size={"shortest_edge": 8}, crop_size=box, do_normalize=False)
    assert process.output_size == (height, width)
    got = values(process, Image.new("RGB", shape, "white"))
    assert got.shape == (1, 3, height, width)
    assert got.min() == 1, "no black border"


def test_squashing_keeps_the_whole_image():
    box = {"height": 4, "width": 6}
    process = CrateImageProcessor(size=box, do_center_crop=False, do_normalize=False)
    image = Image.fromarray(noise(9, 9))
    expected = np.asarray(image.resize((6, 4), Image.Resampling.BILINEAR)) / 255
    np.testing.assert_allclose(values(process, image)[0].permute(1, 2, 0), expected, atol=1e-6)


def test_options_of_a_call_override_the_settings():
    image = Image.fromarray(noise(30, 30))
    process = processor()
    raw = process(image, do_normalize=False, do_rescale=False, return_tensors="pt").pixel_values
    by_hand = (raw / 255 - torch.tensor(MEAN[3])[:, None, None]) / torch.tensor(STD[3])[
        :, None, None
    ]
    torch.testing.assert_close(by_hand, values(process, image), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (Image.new("F", (4, 4)), "32-bit floats"),
        (np.full((4, 4, 3), 7.0), r"\[0, 1\]"),
        (np.full((4, 4, 3), np.nan), r"\[0, 1\]"),
        (np.full((4, 4, 3), 300), r"\[0, 255\]"),
    ],
)
def test_refuses_what_has_no_known_range(image, message):
    with pytest.raises(ValueError, match=message):
        processor()(image)


def test_refuses_settings_that_cannot_be():
    with pytest.raises(ValueError, match="num_channels=4"):
        CrateImageProcessor(num_channels=4)
    with pytest.raises(ValueError, match="image_mean has 3 values but num_channels=1"):
        CrateImageProcessor(num_channels=1)
    with pytest.raises(ValueError, match="images of any size"):
        _ = CrateImageProcessor(do_center_crop=False).output_size


def test_saved_and_found_again(tmp_path):
    process = processor(20, {"height": 8, "width": 16}, 1, resample=3)
    process.save_pretrained(tmp_path)
    CrateConfig(num_channels=1).save_pretrained(tmp_path)
    for backend in ("pil", "torchvision", None):
        found = AutoImageProcessor.from_pretrained(tmp_path, backend=backend)
        assert type(found) is CrateImageProcessor
        assert found.to_dict() == process.to_dict()
        image = Image.fromarray(noise(33, 21))
        assert torch.equal(values(found, image), values(process, image))
    saved = json.loads((tmp_path / "preprocessor_config.json").read_text())
    assert saved["num_channels"] == 1


def test_a_pipeline_uses_it_and_asks_nothing(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr("builtins.input", lambda prompt="": asked.append(prompt) or "n")
    config = CrateConfig(
        image_size=[8, 16],
        patch_size=4,
        num_channels=1,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_labels=3,
    )
    model = CrateForImageClassification(config).eval()
    process = processor(8, {"height": 8, "width": 16}, 1)
    model.save_pretrained(tmp_path)
    process.save_pretrained(tmp_path)
    image = Image.fromarray(noise(40, 30))
    classify = pipeline("image-classification", str(tmp_path))
    scores = {row["label"]: row["score"] for row in classify(image, top_k=3)}
    expected = model(values(process, image)).logits.softmax(-1)[0].tolist()
    assert scores == pytest.approx({f"LABEL_{i}": p for i, p in enumerate(expected)})
    assert not asked
