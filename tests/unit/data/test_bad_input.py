"""Everything that is wrong with the data is named before a run begins, with the way to go on."""

import numpy as np
import pytest
from PIL import Image
from torch.utils.data import ConcatDataset

from whitebox_transformers.data import DataConfig
from whitebox_transformers.data.build import build_processor
from whitebox_transformers.errors import UserError

from .conftest import build, encoded, write_folder, write_parquet


def truncated_jpeg(path):
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:-200])


def truncated_png(path):
    path.write_bytes(encoded(1, height=40, width=40)[:-500])


def flipped_png(path):
    content = bytearray(encoded(1, height=40, width=40))
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(bytes(content))


def text(path):
    path.write_text("this is no image")


def nothing(path):
    path.write_bytes(b"")


def broken_link(path):
    path.symlink_to(path.parent / "gone.png")


def huge(path):
    Image.new("1", (10_000, 9_000)).save(path)


def floating(path):
    Image.new("F", (4, 4)).save(path, "TIFF")


@pytest.mark.parametrize(
    ("damage", "file", "reason"),
    [
        (truncated_jpeg, "x.jpg", "truncated"),
        (truncated_png, "x.png", ""),
        (flipped_png, "x.png", ""),
        (text, "x.jpg", "not an image"),
        (nothing, "x.png", "0 bytes"),
        (broken_link, "x.png", "No such file"),
        (
            huge,
            "x.png",
            "10000 x 9000 pixels are more than the limit 80000000; scale it down or raise data.",
        ),
        (floating, "x.tif", "32-bit floats"),
    ],
)
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_broken_image_is_named(two_classes, damage, file, reason):
    path = two_classes / "dog" / file
    damage(path)
    config = {"source": "folder", "path": str(two_classes)}
    with pytest.raises(UserError) as caught:
        build(DataConfig(**config))
    message = str(caught.value)
    assert "\n" not in message
    assert f"1 of 51 images cannot be used: {path}: " in message
    assert reason in message
    assert "data.on_bad=skip" in message
    with pytest.raises(UserError, match=r"share 0\.02 is above data\.max_bad=0\.001"):
        build(DataConfig(**config, on_bad="skip"))
    data = build(DataConfig(**config, on_bad="skip", max_bad=0.02))
    every = (data.train, data.validation, data.test)
    assert sum(len(dataset) for dataset in every) == 50
    assert all(str(path) != d.name(i) for d in every for i in range(len(d)))
    for dataset in every:
        for index in range(len(dataset)):
            assert data.labels[dataset[index]["labels"]] in dataset.name(index)


def test_many_are_counted_and_a_handful_listed(two_classes):
    for number in range(9):
        text(two_classes / "cat" / f"bad{number}.png")
    with pytest.raises(UserError, match=r"9 of 59 images cannot be used: .*; and 4 more"):
        build(DataConfig(source="folder", path=str(two_classes)))


def test_unscanned_images_stop_the_run_by_name(two_classes):
    text(two_classes / "cat" / "bad.png")
    data = build(DataConfig(source="folder", path=str(two_classes), scan=False))
    everything = ConcatDataset([data.train, data.validation, data.test])
    with pytest.raises(UserError, match=r"cat/bad\.png: not an image.*data\.scan=true"):
        list(everything)


def test_skipping_does_not_move_the_split(two_classes):
    whole = build(DataConfig(source="folder", path=str(two_classes)))
    victim = whole.train.name(3)
    with open(victim, "wb") as file:
        file.write(b"gone")
    rest = build(DataConfig(source="folder", path=str(two_classes), on_bad="skip", max_bad=0.1))
    assert [whole.test.name(i) for i in range(10)] == [rest.test.name(i) for i in range(10)]


@pytest.mark.parametrize("split", ["", "train"])
def test_an_empty_class_folder(tmp_path, split):
    write_folder(tmp_path / split, {"cat": 5, "dog": 5})
    (tmp_path / split / "eel").mkdir()
    (tmp_path / split / "eel" / "notes.txt").write_text("later")
    with pytest.raises(UserError, match=r"1 class folder\(s\) hold no image: .*eel; add images"):
        build(DataConfig(source="folder", path=str(tmp_path)))


def test_one_class(tmp_path):
    write_folder(tmp_path, {"cat": 5})
    with pytest.raises(UserError, match=r"has one class only \(cat\)"):
        build(DataConfig(source="folder", path=str(tmp_path)))
    write_parquet(tmp_path / "p" / "train.parquet", [encoded(0)] * 5, [0] * 5)
    with pytest.raises(UserError, match="has 1 class"):
        build(DataConfig(source="parquet", path=str(tmp_path / "p")))


def test_images_outside_of_class_folders(tmp_path):
    (tmp_path / "x.png").write_bytes(encoded(0))
    with pytest.raises(UserError, match="has no sub-folders; put the images of each class"):
        build(DataConfig(source="folder", path=str(tmp_path)))


def test_a_class_only_the_test_split_knows(tmp_path):
    write_folder(tmp_path / "train", {"a": 5, "b": 5})
    write_folder(tmp_path / "test", {"a": 1, "z": 1})
    with pytest.raises(UserError, match=r"test has the class z that is not among the 2 classes"):
        build(DataConfig(source="folder", path=str(tmp_path)))


@pytest.mark.parametrize(("label", "shown"), [(5, "5"), (-1, "-1"), (None, "-1")])
def test_a_label_out_of_range(tmp_path, label, shown):
    images, labels = [encoded(seed) for seed in range(10)], [0, 1] * 5
    labels[3] = label
    file = write_parquet(tmp_path / "train-0.parquet", images, labels, ["no", "yes"])
    with pytest.raises(UserError) as caught:
        build(DataConfig(source="parquet", path=str(tmp_path)))
    assert f"{file} row 3: label {shown} is not in 0..1" in str(caught.value)


def test_a_label_far_from_the_others_without_class_names(tmp_path):
    images, labels = [encoded(seed) for seed in range(10)], [1, 2] * 5
    config = DataConfig(source="parquet", path=str(tmp_path))
    write_parquet(tmp_path / "train.parquet", images, labels)
    assert build(config).labels == ["0", "1", "2"]  # counted from 1
    labels[3] = 2**31
    file = write_parquet(tmp_path / "train.parquet", images, labels)
    expected = rf"no training image is of class 3, though one is of {2**31}: {file} row 3"
    with pytest.raises(UserError, match=expected):
        build(config)


def test_broken_rows_are_named(tmp_path):
    images = [encoded(seed) for seed in range(20)]
    images[4], images[17] = images[4][:40], None
    file = write_parquet(tmp_path / "train-0.parquet", images, [0, 1] * 10, ["no", "yes"])
    with pytest.raises(UserError) as caught:
        build(DataConfig(source="parquet", path=str(tmp_path)))
    assert f"{file} row 4: " in str(caught.value)
    assert f"{file} row 17: the image is empty (0 bytes)" in str(caught.value)


def test_a_split_without_labels(tmp_path):
    images = [encoded(seed) for seed in range(10)]
    write_parquet(tmp_path / "train.parquet", images, [0, 1] * 5, ["no", "yes"])
    write_parquet(tmp_path / "test.parquet", images, [-1] * 10, ["no", "yes"])
    with pytest.raises(UserError, match=r"no image of the test split .*data\.test_split"):
        build(DataConfig(source="parquet", path=str(tmp_path)))


@pytest.mark.parametrize("streaming", [False, True])
def test_a_damaged_parquet_file(tmp_path, streaming):
    file = write_parquet(tmp_path / "train.parquet", [encoded(0)] * 4, [0, 1] * 2, ["a", "b"])
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(UserError, match=r"train\.parquet cannot be read as parquet"):
        build(DataConfig(source="parquet", path=str(tmp_path), streaming=streaming))


def test_columns_that_do_not_fit(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"text": ["a"], "x": [1.0]}), tmp_path / "train.parquet")
    with pytest.raises(UserError, match=r"no image column; .*data\.image_column.*text \(string\)"):
        build(DataConfig(source="parquet", path=str(tmp_path)))


@pytest.mark.parametrize("source", ["folder", "parquet"])
def test_a_path_that_is_not_there(tmp_path, source):
    with pytest.raises(UserError, match="nowhere does not exist"):
        build(DataConfig(source=source, path=str(tmp_path / "nowhere")))
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="is a file; a folder is expected"):
        build(DataConfig(source=source, path=str(tmp_path / "file")))


def test_an_empty_folder_of_parquet(tmp_path):
    with pytest.raises(UserError, match=r"holds no \*\.parquet file"):
        build(DataConfig(source="parquet", path=str(tmp_path)))


def test_a_hub_name_that_cannot_be_loaded(tmp_path):
    with pytest.raises(UserError, match="cannot load this data set"):
        build(DataConfig(source="hub", path=str(tmp_path / "nobody" / "nothing")))


def test_a_split_that_is_not_there(two_classes):
    with pytest.raises(UserError, match=r"data\.test_split=final does not exist"):
        build(DataConfig(source="folder", path=str(two_classes), test_split="final"))


def test_too_few_images_to_carve(tmp_path):
    write_folder(tmp_path, {"cat": 1, "dog": 1})
    with pytest.raises(UserError, match=r"no test images: .*data\.test_share"):
        build(DataConfig(source="folder", path=str(tmp_path)))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"source": "web"}, "data.source='web' is not known"),
        ({"source": "folder"}, "data.path is missing"),
        ({"streaming": True}, "data.streaming=true is for"),
        ({"max_bad": 2.0}, "data.max_bad=2.0 is out of range"),
        ({"std": [0.0]}, "data.std="),
    ],
)
def test_settings_that_cannot_be(settings, message):
    with pytest.raises(UserError) as caught:
        DataConfig(**settings)
    assert message in str(caught.value)


def test_settings_that_do_not_fit_the_model():
    with pytest.raises(UserError, match=r"data\.resize_edge=4 is below the model's image size 8x8"):
        build_processor(DataConfig(resize_edge=4), 8, 1)
    with pytest.raises(UserError, match="image_mean has 2 values but num_channels=3"):
        build_processor(DataConfig(mean=[0.1, 0.2]), 8, 3)


def test_pillow_stays_strict():
    from PIL import ImageFile

    assert ImageFile.LOAD_TRUNCATED_IMAGES is False
