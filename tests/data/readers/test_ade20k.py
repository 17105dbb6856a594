import numpy as np
import pytest

from lookwider.data import open_dataset
from lookwider.data.layouts import find_layout
from lookwider.errors import DataError
from lookwider.known_classes import ADE20K


def test_zero_is_ignored_and_the_rest_moves_down(tmp_path, put, photo):
    label = np.arange(151, dtype=np.uint8)[None]
    for folder, name in (("training", "ADE_train_00000001"), ("validation", "ADE_val_00000001")):
        put(tmp_path / "images" / folder / f"{name}.jpg", photo(0, 1, 151))
        put(tmp_path / "annotations" / folder / f"{name}.png", label)
    assert find_layout(tmp_path) == "ade20k"
    for split in ("train", "val"):
        data = open_dataset(tmp_path, split)
        assert data.classes == ADE20K
        assert data[0].label[0].tolist() == [255, *range(150)]


def test_labels_that_were_shifted_already(tmp_path, put, photo):
    put(tmp_path / "images/training/ADE_train_1.jpg", photo())
    put(tmp_path / "annotations/training/ADE_train_1.png", np.full((6, 8), 255, np.uint8))
    with pytest.raises(DataError, match=r"class id 255 in 48 pixels, expected 1\.\.150 or 0 \(ign"):
        open_dataset(tmp_path)[0]


def test_other_data_in_this_layout_is_a_folder(tmp_path, put, photo):
    for i in range(2):
        put(tmp_path / "images/training" / f"{i}.jpg", photo())
        put(tmp_path / "annotations/training" / f"{i}.png", np.full((6, 8), i, np.uint8))
    assert find_layout(tmp_path) == "folder"
    assert {int(s.label.max()) for s in open_dataset(tmp_path)} == {0, 1}
