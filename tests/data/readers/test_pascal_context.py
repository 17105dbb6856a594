import numpy as np
import pytest
import scipy.io

from lookwider.data import open_dataset
from lookwider.data.layouts import find_layout
from lookwider.errors import DataError
from lookwider.known_classes import PASCAL_CONTEXT_59, PASCAL_CONTEXT_60, PASCAL_CONTEXT_IDS

LABEL_459 = np.array([[0, 1, 2, 23, 431, 458, 397, 255]], np.uint16)
LABEL_60 = [0, 0, 1, 2, 0, 59, 11, 0]  # aeroplane, bicycle, -, wood, table, - (255 is "money")


def make(root, put, photo, kind):
    put(root / "JPEGImages" / "2008_000002.jpg", photo(0, 1, 8))
    put(root / "JPEGImages" / "2008_000004.jpg", photo(1, 1, 8))
    if kind == "mat":
        (root / "trainval").mkdir()
        scipy.io.savemat(root / "trainval" / "2008_000002.mat", {"LabelMap": LABEL_459})
    elif kind == "png":
        put(root / "trainval" / "2008_000002.png", LABEL_459)
    else:
        put(root / kind / "2008_000002.png", np.array([LABEL_60], np.uint8))


@pytest.mark.parametrize("kind", ["mat", "png", "SegmentationClassContext"])
def test_60_and_59_classes(tmp_path, put, photo, kind):
    make(tmp_path, put, photo, kind)
    assert find_layout(tmp_path) == "pascal-context"
    data = open_dataset(tmp_path, "trainval")
    assert (data.names, data.classes) == (("2008_000002",), PASCAL_CONTEXT_60)
    assert data[0].label[0].tolist() == LABEL_60
    data = open_dataset(tmp_path, "trainval", layout="pascal-context-59")
    assert data.classes == PASCAL_CONTEXT_59
    assert data[0].label[0].tolist() == [v - 1 if v else 255 for v in LABEL_60]


def test_every_label_of_the_full_annotation(tmp_path, put, photo):
    put(tmp_path / "JPEGImages" / "a.jpg", photo(0, 1, 460))
    put(tmp_path / "trainval" / "a.png", np.arange(460, dtype=np.uint16)[None])
    label = open_dataset(tmp_path, "trainval")[0].label[0]
    reference = np.zeros(460, np.uint8)
    for index, value in enumerate(PASCAL_CONTEXT_IDS):
        reference[value] = index + 1
    np.testing.assert_array_equal(label, reference)


def test_lists_of_voc_and_a_root_above(tmp_path, put, photo):
    make(tmp_path / "VOC2010", put, photo, "SegmentationClassContext")
    lists = tmp_path / "VOC2010" / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("2008_000002\n2008_000004\n")
    (lists / "val.txt").write_text("2008_000004\n")
    assert open_dataset(tmp_path, "train").names == ("2008_000002",)
    with pytest.raises(DataError, match="no image of split 'val' has a label"):
        open_dataset(tmp_path, "val")


def test_by_name_where_it_is_not(tmp_path):
    with pytest.raises(DataError, match="expected JPEGImages/ and trainval/ or Segmentation"):
        open_dataset(tmp_path, "trainval", layout="pascal-context")
