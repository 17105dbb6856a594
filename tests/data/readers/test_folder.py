import numpy as np
import pytest

from lookwider.classes import ClassMap
from lookwider.data import open_dataset
from lookwider.data.layouts import find_layout, list_dataset
from lookwider.errors import DataError


def fill(root, images, labels, names, put, photo):
    """Write images and labels of these names; return them."""
    made = {}
    for i, name in enumerate(names):
        image = put(root / images / f"{name}.png", photo(i))
        label = np.full((6, 8), i % 2, np.uint8)
        label[0] = 255
        label[1] = 1 - i % 2
        made[name] = (image, put(root / labels / f"{name}.png", label))
    return made


@pytest.mark.parametrize(
    ("images", "labels"),
    [("images", "labels"), ("img", "masks"), ("JPEGImages", "SegmentationClass"), ("Images", "GT")],
)
def test_two_folders(tmp_path, put, photo, images, labels):
    made = fill(tmp_path, images, labels, "abcd", put, photo)
    assert find_layout(tmp_path) == "folder"
    data = open_dataset(tmp_path, None)
    assert sorted(data.names) == list("abcd")
    assert data.class_map == ClassMap.identity(2)
    for sample in data:
        np.testing.assert_array_equal(sample.image, made[sample.name][0])
        np.testing.assert_array_equal(sample.label, made[sample.name][1])


def test_a_folder_without_splits_holds_out_a_tenth(tmp_path, put, photo):
    fill(tmp_path, "images", "labels", [f"{i:02d}" for i in range(20)], put, photo)
    train, val = open_dataset(tmp_path, "train"), open_dataset(tmp_path, "val")
    assert (len(train), len(val)) == (18, 2)
    assert not set(train.names) & set(val.names)
    assert "one image of 10" in list_dataset(tmp_path, "val").notes[0]
    with pytest.raises(DataError, match="unknown split 'test'; known: train, val"):
        open_dataset(tmp_path, "test")


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ("images/{}", "labels/{}"),
        ("{}/images", "{}/masks"),
        ("{}", "{}_labels"),
        ("{}", "{}annot"),
    ],
)
@pytest.mark.parametrize("val", ["val", "valid", "validation"])
def test_splits_as_folders(tmp_path, put, photo, images, labels, val):
    made = {
        split: fill(tmp_path, images.format(split), labels.format(split), names, put, photo)
        for split, names in {"train": "abc", val: "abd", "test": "x"}.items()
    }
    assert find_layout(tmp_path) == "folder"
    for split, folder in {"train": "train", "val": val, "test": "test"}.items():
        data = open_dataset(tmp_path, split)
        assert list(data.names) == list(made[folder])
        for sample in data:
            np.testing.assert_array_equal(sample.image, made[folder][sample.name][0])
            np.testing.assert_array_equal(sample.label, made[folder][sample.name][1])
    assert len(open_dataset(tmp_path, "train+val")) == 6
    assert "val/a" in open_dataset(tmp_path, None).names


@pytest.mark.parametrize("where", ["", "splits", "ImageSets/Segmentation"])
def test_split_files(tmp_path, put, photo, where):
    fill(tmp_path, "images", "labels", ["a", "b", "sub/c", "d"], put, photo)
    (tmp_path / where).mkdir(parents=True, exist_ok=True)
    (tmp_path / where / "train.txt").write_text("d\nimages/sub/c.png\n")
    (tmp_path / where / "val.txt").write_text("a.png\n")
    assert list(open_dataset(tmp_path, "train").names) == ["d", "sub/c"]
    assert list(open_dataset(tmp_path, "val").names) == ["a"]
    (tmp_path / where / "test.txt").write_text("zebra\n")
    with pytest.raises(DataError, match=r"test\.txt: names 'zebra', but no image with a label"):
        open_dataset(tmp_path, "test")
    (tmp_path / where / "test.txt").write_text("a\na.png\n")
    with pytest.raises(DataError, match=r"test\.txt: names an image more than once"):
        open_dataset(tmp_path, "test")


def test_jpeg_images_with_endings(tmp_path, put, photo):
    for i, name in enumerate("ab"):
        put(tmp_path / "images" / f"{name}.jpg", photo(i))
        put(tmp_path / "labels" / f"{name}_mask.png", np.full((6, 8), i, np.uint8))
    data = open_dataset(tmp_path, None)
    assert [s.label.max() for s in data] == [0, 1]


def test_every_split_has_the_same_classes(tmp_path, put, photo):
    for split, value in (("train", 2), ("val", 1)):
        put(tmp_path / "images" / split / "a.png", photo())
        label = np.zeros((6, 8), np.uint8)
        label[0] = value
        put(tmp_path / "labels" / split / "a.png", label)
    assert open_dataset(tmp_path, "train").classes == open_dataset(tmp_path, "val").classes
    assert len(open_dataset(tmp_path, "val").classes) == 3


def test_binary_masks(tmp_path, put, photo):
    mask = np.zeros((6, 8), np.uint8)
    mask[2:4] = 255
    put(tmp_path / "images" / "a.png", photo())
    put(tmp_path / "masks" / "a.png", mask)
    data = open_dataset(tmp_path, None)
    np.testing.assert_array_equal(data[0].label, mask // 255)
    assert data.classes.names == ("background", "foreground")


def test_colour_labels(tmp_path, put, photo):
    rgb = np.zeros((6, 8, 3), np.uint8)
    rgb[:3] = (128, 0, 0)
    rgb[4:] = (0, 0, 128)
    put(tmp_path / "images" / "a.png", photo())
    put(tmp_path / "labels" / "a.png", rgb)
    data = open_dataset(tmp_path, None)
    np.testing.assert_array_equal(data.classes.palette_array()[data[0].label], rgb)


def test_classes_json_decides(folder):
    (folder / "classes.json").write_text(
        '{"classes": [{"name": "thing", "values": [1, 2]}], "ignore": [0, 255]}'
    )
    data = open_dataset(folder, None)
    assert data.classes.names == ("thing",)
    assert {int(v) for sample in data for v in np.unique(sample.label)} == {0, 255}


def test_unpaired_files_are_left_out_and_said(folder, photo, put, caplog):
    put(folder / "images" / "more.png", photo())
    put(folder / "labels" / "less.png", np.zeros((6, 8), np.uint8))
    assert len(open_dataset(folder, None)) == 4
    assert "left out 1 images without a label and 1 labels without an image" in caplog.text


def test_no_pairs(tmp_path, put, photo):
    put(tmp_path / "images" / "a.png", photo())
    put(tmp_path / "labels" / "b.png", np.zeros((6, 8), np.uint8))
    with pytest.raises(DataError, match=r"no image of split None has a label \(1 images and 1 lab"):
        open_dataset(tmp_path, None)


def test_the_layout_by_name_where_it_is_not(tmp_path):
    with pytest.raises(DataError, match="holds no images/ and labels/"):
        open_dataset(tmp_path, "train", layout="folder")
