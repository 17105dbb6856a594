import numpy as np
import pytest
import scipy.io

from lookwider.data import open_dataset
from lookwider.data.layouts import find_layout
from lookwider.errors import DataError
from lookwider.known_classes import VOC

NAMES = ("2007_000032", "2007_000039", "2008_000003")


@pytest.fixture
def voc(tmp_path, put, photo):
    labels = {}
    for i, name in enumerate(NAMES):
        put(tmp_path / "JPEGImages" / f"{name}.jpg", photo(i))
        for folder, value in (("SegmentationClass", i), ("SegmentationClassAug", i + 10)):
            label = np.full((6, 8), value, np.uint8)
            label[0] = 255
            palette = VOC.palette_array().ravel().tolist()
            labels[folder, name] = put(tmp_path / folder / f"{name}.png", label, palette)
    lists = tmp_path / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text(f"{NAMES[0]}\n{NAMES[1]}\n")
    (lists / "val.txt").write_text(f"{NAMES[2]}\n")
    (lists / "trainaug.txt").write_text("\n".join(NAMES))
    (lists / "sbd.txt").write_text(
        f"/JPEGImages/{NAMES[1]}.jpg /SegmentationClassAug/{NAMES[1]}.png\n"
    )
    return tmp_path, labels


def test_voc(voc):
    root, labels = voc
    assert find_layout(root) == "voc"
    for split, names in {"train": NAMES[:2], "val": NAMES[2:]}.items():
        data = open_dataset(root, split)
        assert (data.names, data.classes) == (names, VOC)
        for sample in data:
            np.testing.assert_array_equal(sample.label, labels["SegmentationClass", sample.name])


def test_sbd_lists(voc):
    root, labels = voc
    for split, names in {"trainaug": NAMES, "sbd": NAMES[1:2]}.items():
        data = open_dataset(root, split)
        assert data.names == names
        for sample in data:
            np.testing.assert_array_equal(sample.label, labels["SegmentationClassAug", sample.name])


@pytest.mark.parametrize("below", ["VOC2012", "VOCdevkit/VOC2012"])
def test_the_folder_above(voc, tmp_path_factory, below):
    above = tmp_path_factory.mktemp("above")
    (above / below).parent.mkdir(exist_ok=True)
    (above / below).symlink_to(voc[0])
    assert len(open_dataset(above, "train")) == 2


def test_a_list_line_of_three(voc):
    (voc[0] / "ImageSets/Segmentation/train.txt").write_text("a b c\n")
    with pytest.raises(DataError, match="got 'a b c', expected a name, or an image and a label"):
        open_dataset(voc[0])


def test_a_missing_image(voc):
    (voc[0] / "JPEGImages" / f"{NAMES[0]}.jpg").unlink()
    with pytest.raises(DataError, match=rf"{NAMES[0]}\.jpg: no such file, but .* lists it"):
        open_dataset(voc[0])


def test_other_data_in_this_layout_is_a_folder(tmp_path, put, photo):
    for i, name in enumerate("ab"):
        put(tmp_path / "JPEGImages" / f"{name}.jpg", photo(i))
        put(tmp_path / "SegmentationClass" / f"{name}.png", np.full((6, 8), i, np.uint8))
    lists = tmp_path / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("a\nb\n")
    assert find_layout(tmp_path) == "folder"
    assert open_dataset(tmp_path).classes.names == ("class 0", "class 1")


@pytest.mark.parametrize("home", ["", "dataset", "benchmark_RELEASE/dataset"])
def test_sbd_release(tmp_path, put, photo, home):
    folder = tmp_path / home
    label = np.random.default_rng(0).integers(0, 21, (6, 8), np.uint8)
    put(folder / "img" / "2008_000003.jpg", photo())
    (folder / "cls").mkdir()
    scipy.io.savemat(folder / "cls" / "2008_000003.mat", {"GTcls": {"Segmentation": label}})
    (folder / "train.txt").write_text("2008_000003\n")
    assert find_layout(tmp_path) == "sbd"
    np.testing.assert_array_equal(open_dataset(tmp_path)[0].label, label)
