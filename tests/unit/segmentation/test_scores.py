"""Scores are what their definitions say, and masks survive being written down."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.oracles.average_precision import average_precision, boxed

from whitebox_transformers.data.faults import Fault
from whitebox_transformers.errors import UserError
from whitebox_transformers.report.file_names import FileNames
from whitebox_transformers.segmentation import box_of, mask_of_rle, mask_on_image, rle_of
from whitebox_transformers.segmentation.average_precision import CocoAnnotations
from whitebox_transformers.segmentation.scores import MaxF, MeanIoU, best_overlaps, for_json, iou
from whitebox_transformers.segmentation.truth import MaskFolder


def drawn(*shape: int, seed: int, share: float = 0.3) -> np.ndarray:
    return np.random.default_rng(seed).random(shape) < share


def rectangle(shape: tuple[int, int], top: int, left: int, height: int, width: int) -> np.ndarray:
    mask = np.zeros(shape, dtype=bool)
    mask[top : top + height, left : left + width] = True
    return mask


def test_run_lengths_are_cocos() -> None:
    codec = pytest.importorskip("faster_coco_eval.core.mask")
    for mask in (
        drawn(5, 7, seed=0),
        drawn(1, 9, seed=1),
        np.ones((3, 4), bool),
        ~drawn(8, 2, seed=2),
    ):
        rle = rle_of(mask)
        np.testing.assert_array_equal(mask_of_rle(rle), mask)
        np.testing.assert_array_equal(codec.decode(codec.frPyObjects(rle, *mask.shape)), mask)
        assert json.loads(json.dumps(rle)) == rle


def test_boxes_are_tight() -> None:
    assert box_of(rectangle((10, 20), 3, 5, 4, 6)) == (5, 3, 6, 4)
    assert box_of(np.eye(3, dtype=bool)) == (0, 0, 3, 3)
    assert box_of(np.zeros((3, 3), dtype=bool)) is None


def test_a_mask_of_patches_covers_its_part_of_the_image() -> None:
    mask = rectangle((4, 6), 1, 2, 2, 3)
    np.testing.assert_array_equal(
        mask_on_image(mask, (16, 24), (40, 60)), rectangle((40, 60), 10, 20, 20, 30)
    )
    assert mask_on_image(mask, (16, 24), (7, 300)).mean() == pytest.approx(0.25, abs=0.05)
    assert not mask_on_image(np.zeros((4, 6), bool), (16, 24), (7, 9)).any()


def test_the_best_mask_of_each_class_counts_and_void_does_not() -> None:
    labels = np.array([[1, 1, 0, 0], [2, 2, 2, -1]])
    masks = [labels == 1, np.ones((2, 4), dtype=bool), np.zeros((2, 4), dtype=bool)]
    overlaps = best_overlaps(labels, masks)
    np.testing.assert_allclose(overlaps[1], [1, 2 / 7, 0])
    np.testing.assert_allclose(overlaps[2], [0, 3 / 7, 0])
    mean = MeanIoU()
    mean.add(overlaps)
    mean.add({})
    mean.add({4: np.array([0.2, 0.1])})
    assert mean.value == pytest.approx(((1 + 3 / 7) / 2 + 0.2) / 2)
    assert np.isnan(MeanIoU().value)
    assert iou(masks[2], masks[2]) == 0


def test_max_f_tries_every_threshold() -> None:
    rng = np.random.default_rng(0)
    shapes = [(6, 9), (5, 5), (12, 3)]
    truths = [np.where(rng.random(s) < 0.1, -1, rng.random(s) < 0.4).astype(int) for s in shapes]
    maps = [rng.integers(0, 256, s) + 40.0 * t for s, t in zip(shapes, truths, strict=True)]
    score = MaxF()
    for labels, values in zip(truths, maps, strict=True):
        score.add(labels, values)
    score.add(np.zeros((3, 3), dtype=int), np.ones((3, 3)))  # no foreground: does not enter
    best = 0.0
    for threshold in np.arange(256) / 256:
        precision, recall = [], []
        for labels, values in zip(truths, maps, strict=True):
            scaled = (values - values.min()) / (values.max() - values.min())
            above = (scaled >= threshold) & (labels >= 0)
            hit = (above & (labels > 0)).sum()
            precision.append(hit / max(above.sum(), 1))
            recall.append(hit / (labels > 0).sum())
        p, r = np.mean(precision), np.mean(recall)
        best = max(best, 1.3 * p * r / (0.3 * p + r))
    assert score.images == 3
    assert score.value == pytest.approx(best)


def test_a_constant_map_marks_everything() -> None:
    score = MaxF()
    score.add(np.array([[1, 0, 0, 0]]), np.full((1, 4), 7.0))
    assert score.value == pytest.approx(1.3 * 0.25 / (0.3 * 0.25 + 1))


def coco_file(folder, truth: list[list[np.ndarray]], **changes) -> str:
    annotations = [
        {
            "id": 100 + 10 * image + index,
            "image_id": 7 + image,
            "category_id": 3 + index,
            "bbox": list(box_of(mask)),
            "area": int(mask.sum()),
            "iscrowd": 0,
            "segmentation": rle_of(mask),
        }
        for image, masks in enumerate(truth)
        for index, mask in enumerate(masks)
    ]
    content = {
        "images": [
            {"id": 7 + i, "file_name": f"some/{i}.png", "height": 40, "width": 60}
            for i in range(len(truth))
        ],
        "annotations": annotations,
        "categories": [{"id": 3, "name": "a"}, {"id": 4, "name": "b"}],
    }
    (folder / "coco.json").write_text(json.dumps(content | changes))
    return str(folder / "coco.json")


def test_average_precision_is_cocos_whatever_the_categories(tmp_path) -> None:
    pytest.importorskip("faster_coco_eval")
    size, rng = (40, 60), np.random.default_rng(3)

    def some(count: int) -> list[np.ndarray]:
        masks = []
        for _ in range(count):
            top, left = rng.integers(0, 20), rng.integers(0, 30)
            mask = rectangle(size, top, left, rng.integers(8, 20), rng.integers(8, 30))
            masks.append(mask & (rng.random(size) < 0.98))
        return masks

    truth = [some(2), some(1), some(3), some(2)]
    found = [
        [np.roll(m, rng.integers(0, 4), axis=1) for m in masks[: 1 + i % 3]] + some(i % 2)
        for i, masks in enumerate(truth[:3])
    ]
    annotations = CocoAnnotations(coco_file(tmp_path, truth))
    for image, masks in enumerate(found):  # the fourth image is not looked at
        annotations.add(annotations.expects(tmp_path / f"{image}.png", size), masks)
    scores = annotations.scores()
    for kind, of in (("mask", lambda mask: mask), ("box", boxed)):
        drawn, made = ([[of(m) for m in masks] for masks in each] for each in (truth[:3], found))
        expected = average_precision(drawn, made)
        keys = (f"{kind}_ap", f"{kind}_ap50", f"{kind}_ap75")
        assert [scores[key] for key in keys] == pytest.approx(expected)
        assert 0 < expected[0] < expected[1] < 1


def test_no_masks_found_scores_zero_and_no_annotations_nothing(tmp_path) -> None:
    pytest.importorskip("faster_coco_eval")
    annotations = CocoAnnotations(coco_file(tmp_path, [[rectangle((40, 60), 1, 1, 5, 5)], []]))
    annotations.add(8, [])
    assert np.isnan(annotations.scores()["mask_ap"])
    annotations.add(7, [])
    assert annotations.scores() == dict.fromkeys(annotations.scores(), 0.0)


def test_what_could_not_be_scored_is_no_number_in_json() -> None:
    assert for_json({"a": 0.5, "b": float("nan")}) == {"a": 0.5, "b": None}


def test_pictures_of_images_called_alike_have_names_of_their_own() -> None:
    names = FileNames()
    given = [names.of(Path(name)) for name in ("a/1.png", "b/1.png", "1-2.png", "1.jpg", "1-2.gif")]
    assert given == ["1", "1-2", "1-2-2", "1-3", "1-2-3"]


def test_images_of_one_name_are_told_apart_by_their_folders(tmp_path) -> None:
    pytest.importorskip("faster_coco_eval")
    names = {7: "1.png", 8: "val/1.png", 9: "test/1.png", 10: "val/2.png", 11: "val/2.png"}
    images = [{"id": key, "file_name": name} for key, name in names.items()]
    annotations = CocoAnnotations(coco_file(tmp_path, [], images=images))
    found = {}
    for folder in ("val", "train", "test", "deep/test"):
        try:
            found[folder] = annotations.expects(tmp_path / folder / "1.png", (5, 4))
        except Fault as fault:
            found[folder] = fault.reason.replace(str(tmp_path), "")
    same = f"stands for the same image of {annotations.file} as {tmp_path}/test/1.png"
    assert found == {
        "val": 8, "train": 7, "test": 9, "deep/test": same.replace(str(tmp_path), "")
    }  # fmt: skip
    with pytest.raises(Fault, match="2 images of"):
        annotations.expects(tmp_path / "val" / "2.png", (5, 4))


def test_annotations_that_cannot_be_used_are_named(tmp_path) -> None:
    pytest.importorskip("faster_coco_eval")
    annotations = CocoAnnotations(coco_file(tmp_path, [[], []]))
    with pytest.raises(UserError, match=r"knows none of the images, e\.g\. x\.png"):
        annotations.check([tmp_path / "x.png"])
    with pytest.raises(Fault, match="not among the images"):
        annotations.expects(tmp_path / "x.png", (40, 60))
    with pytest.raises(Fault, match="4 x 5 pixels, but"):
        annotations.expects(tmp_path / "1.png", (5, 4))
    with pytest.raises(UserError, match="lacks 'file_name'"):
        CocoAnnotations(coco_file(tmp_path, [], images=[{"id": 1}]))
    with pytest.raises(UserError, match="no list 'annotations'"):
        CocoAnnotations(coco_file(tmp_path, [], annotations=None))
    (tmp_path / "coco.json").write_text("{")
    with pytest.raises(UserError, match="no JSON file"):
        CocoAnnotations(tmp_path / "coco.json")
    with pytest.raises(UserError, match="cannot be read"):
        CocoAnnotations(tmp_path / "none.json")


def test_masks_are_read_as_foreground_or_classes(tmp_path) -> None:
    values = np.array([[0, 200, 255], [100, 0, 255]], dtype=np.uint8)
    Image.fromarray(values).save(tmp_path / "grey.png")
    Image.fromarray((values > 128).astype(np.uint8)).save(tmp_path / "ones.png")
    Image.fromarray(np.stack([values] * 3, -1)).save(tmp_path / "rgb.png")
    classes = Image.fromarray(np.array([[0, 15, 255], [3, 0, 255]], dtype=np.uint8), mode=None)
    classes.putpalette([i % 256 for i in range(768)])
    classes.save(tmp_path / "voc.png")
    masks = MaskFolder(tmp_path)
    expected = [[0, 1, 1], [0, 0, 1]]
    for name in ("grey", "ones", "rgb"):
        np.testing.assert_array_equal(masks.of(tmp_path / f"{name}.jpg", (2, 3)), expected)
    voc = [[0, 15, -1], [3, 0, -1]]
    np.testing.assert_array_equal(masks.of(tmp_path / "voc.jpg", (2, 3)), voc)
    as_classes = MaskFolder(tmp_path, "classes").of(tmp_path / "grey.jpg", (2, 3))
    np.testing.assert_array_equal(as_classes, [[0, 200, -1], [100, 0, -1]])
    with pytest.raises(Fault, match="3 x 2 pixels, but its image has 2 x 3"):
        masks.of(tmp_path / "grey.jpg", (3, 2))
    with pytest.raises(Fault, match="no mask called none"):
        masks.of(tmp_path / "none.jpg", (3, 2))
    with pytest.raises(UserError, match=r"a file x\.png is expected"):
        masks.check([tmp_path / "x.jpg"])
    (tmp_path / "again").mkdir()
    Image.fromarray(values).save(tmp_path / "again" / "grey.png")
    with pytest.raises(UserError, match="masks of the same name"):
        MaskFolder(tmp_path)
    with pytest.raises(UserError, match="is no folder"):
        MaskFolder(tmp_path / "nothing")
