"""A folder with model and image processor is all that a pipeline needs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from tests.contract.tiny import tiny_model
from transformers import AutoImageProcessor, AutoModelForImageClassification, pipeline

from whitebox_transformers.crate import CrateImageProcessor, fold
from whitebox_transformers.evaluation.predict import predict

NAMES = {0: "cat", 1: "dog", 2: "eel", 3: "fox", 4: "gnu"}


def processor(channels: int = 3) -> CrateImageProcessor:
    return CrateImageProcessor(
        size={"height": 8, "width": 12},
        do_center_crop=False,
        num_channels=channels,
        image_mean=[0.5] * channels,
        image_std=[0.25] * channels,
    )


def picture(mode: str = "RGB") -> Image.Image:
    values = np.random.default_rng(0).integers(0, 256, (30, 20, 3), dtype=np.uint8)
    return Image.fromarray(values).convert(mode)


@pytest.fixture
def folder(tmp_path) -> str:
    names = {name: index for index, name in NAMES.items()}
    tiny_model(id2label=NAMES, label2id=names).save_pretrained(tmp_path)
    processor().save_pretrained(tmp_path)
    return str(tmp_path)


def test_a_pipeline_names_the_classes(folder: str) -> None:
    classify = pipeline("image-classification", folder)
    results = classify([picture(), picture("L"), picture("RGBA")], top_k=5)
    assert [len(result) for result in results] == [5, 5, 5]
    assert {answer["label"] for answer in results[0]} == set(NAMES.values())
    assert sum(answer["score"] for answer in results[0]) == pytest.approx(1)


@torch.no_grad()
def test_a_pipeline_is_processor_then_model(folder: str) -> None:
    pixels = AutoImageProcessor.from_pretrained(folder)(picture(), return_tensors="pt")
    model = AutoModelForImageClassification.from_pretrained(folder)
    scores = model(**pixels).logits.softmax(-1)[0]
    answer = pipeline("image-classification", folder)(picture(), top_k=1)[0]
    assert answer["label"] == NAMES[int(scores.argmax())]
    assert answer["score"] == pytest.approx(scores.max().item(), abs=1e-6)


def test_a_folded_model_serves_in_a_pipeline(folder: str) -> None:
    model = AutoModelForImageClassification.from_pretrained(folder)
    images = AutoImageProcessor.from_pretrained(folder)
    plain = pipeline("image-classification", model=model, image_processor=images)
    folded = pipeline("image-classification", model=fold(model), image_processor=images)
    for answer, expected in zip(folded(picture()), plain(picture()), strict=True):
        assert answer["label"] == expected["label"]
        assert answer["score"] == pytest.approx(expected["score"], abs=1e-5)


def test_features_come_through_the_encoder(folder: str) -> None:
    extract = pipeline("image-feature-extraction", folder)
    assert np.asarray(extract(picture())).shape == (1, 1 + 2 * 3, 12)


def test_one_channel_models_see_grey(tmp_path) -> None:
    tiny_model(num_channels=1).save_pretrained(tmp_path)
    processor(channels=1).save_pretrained(tmp_path)
    assert len(pipeline("image-classification", str(tmp_path))(picture("CMYK"), top_k=2)) == 2


def odd_pictures() -> dict[str, Image.Image]:
    """Pictures of which a pipeline by itself sees less than training does."""
    draw = np.random.default_rng(1)
    clear = draw.integers(0, 256, (20, 30, 4), dtype=np.uint8)
    deep = Image.fromarray(draw.integers(0, 65536, (20, 30), dtype=np.uint16))
    return {"RGBA": Image.fromarray(clear), "16-bit": deep}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", ["RGBA", "16-bit"])
def test_a_prepared_picture_is_classified_as_by_wbt_predict(tmp_path, kind, channels) -> None:
    tiny_model(num_channels=channels).save_pretrained(tmp_path)
    processor(channels).save_pretrained(tmp_path)
    file = tmp_path / "picture.png"
    odd_pictures()[kind].save(file)
    (expected,) = predict(tmp_path, [file])
    classify = pipeline("image-classification", str(tmp_path))
    prepared = classify.image_processor.prepare(Image.open(file))
    found = {answer["label"]: answer["score"] for answer in classify(prepared, top_k=9)}
    assert found == pytest.approx(expected.probabilities, abs=1e-6)
    # Why preparing is needed: the day this fails, the documentation can drop it.
    alone = {answer["label"]: answer["score"] for answer in classify(str(file), top_k=9)}
    assert alone != pytest.approx(expected.probabilities, abs=1e-4)
