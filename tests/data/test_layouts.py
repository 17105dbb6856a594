import numpy as np
import pytest

from lookwider.classes import Classes, ClassMap
from lookwider.data import SceneDataset, SegmentationDataset, open_dataset
from lookwider.data.layouts import LAYOUTS
from lookwider.errors import ConfigError, DataError


def test_scenes():
    data = open_dataset("scenes:count=2,size=48x64,seed=3", "val")
    assert isinstance(data, SegmentationDataset)
    assert data[0].image.shape == (48, 64, 3)
    other = SceneDataset.split("val", count=2, size=(48, 64), seed=3)
    np.testing.assert_array_equal(data[1].image, other[1].image)
    assert len(open_dataset("scenes", "test")) == len(SceneDataset.split("test"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("scenes:counts=3", "unknown option .* 'counts'; did you mean 'count'"),
        ("scenes:count=many", "got count='many', expected a whole number"),
        ("scenes:size=64", "got size='64', expected HEIGHTxWIDTH"),
    ],
)
def test_scene_options(text, message):
    with pytest.raises(ConfigError, match=message):
        open_dataset(text)


def test_scenes_take_no_layout_and_need_a_split():
    with pytest.raises(ConfigError, match="have their own layout and classes"):
        open_dataset("scenes", layout="voc")
    with pytest.raises(ConfigError, match="name a split, train, val or test"):
        open_dataset("scenes", None)


def test_nothing_there(tmp_path):
    with pytest.raises(DataError, match="no such folder or file; 'scenes' is the built-in"):
        open_dataset(tmp_path / "none")


def test_nothing_known(tmp_path):
    (tmp_path / "readme.md").touch()
    with pytest.raises(DataError, match=r"no known layout; expected one of\n  camvid: train/"):
        open_dataset(tmp_path)


def test_a_misspelt_layout(folder):
    with pytest.raises(ConfigError, match="unknown layout 'folders'; did you mean 'folder'"):
        open_dataset(folder, layout="folders")


def test_an_unknown_split(folder):
    with pytest.raises(DataError, match="unknown split 'trian'; did you mean 'train'"):
        open_dataset(folder, "trian")


def test_given_classes_and_class_map(folder):
    classes = Classes.named(["a", "b", "c", "d"])
    assert open_dataset(folder, None, classes=classes).class_map == ClassMap.identity(4)
    merged = ClassMap({0: 0, 1: 0, 2: 1})
    data = open_dataset(folder, None, class_map=merged)
    assert data.classes == Classes.numbered(2)
    assert {int(v) for s in data for v in np.unique(s.label)} == {0, 1, 255}


def test_a_class_file_beats_the_layout(tmp_path, put, photo):
    put(tmp_path / "train" / "0001TP_1.png", photo())
    put(tmp_path / "trainannot" / "0001TP_1.png", np.zeros((6, 8), np.uint8))
    (tmp_path / "classes.txt").write_text("one\ntwo\n")
    assert open_dataset(tmp_path).classes.names == ("one", "two")


def test_labels_that_cannot_be_told_apart(folder, put):
    put(folder / "labels" / "0.png", np.full((6, 8), 200, np.uint8))
    with pytest.raises(DataError, match="scattered numbers 0, 1, 2, 200 and 255"):
        open_dataset(folder)


def test_every_layout_says_what_it_looks_like():
    assert all(layout.looks_like for layout in LAYOUTS.values())
