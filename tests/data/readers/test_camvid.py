import numpy as np
import pytest
from PIL import Image

from lookwider.data import open_dataset
from lookwider.data.layouts import find_layout
from lookwider.errors import DataError
from lookwider.known_classes import CAMVID


def test_the_layout(tmp_path, put, photo):
    label = np.arange(48, dtype=np.uint8).reshape(6, 8) % 12
    for split in ("train", "test"):
        put(tmp_path / split / "0001TP_000001.png", photo())
        put(tmp_path / f"{split}annot" / "0001TP_000001.png", label)
    assert find_layout(tmp_path) == "camvid"
    sample = open_dataset(tmp_path, "test")[0]
    np.testing.assert_array_equal(sample.label, np.where(label == 11, 255, label))
    with pytest.raises(DataError, match="unknown split 'val'; known: test, train"):
        open_dataset(tmp_path, "val")


def test_other_data_in_this_layout_is_a_folder(tmp_path, put, photo):
    for i in range(2):
        put(tmp_path / "train" / f"{i}.png", photo())
        put(tmp_path / "trainannot" / f"{i}.png", np.full((6, 8), i, np.uint8))
    assert find_layout(tmp_path) == "folder"
    assert len(open_dataset(tmp_path).classes) == 2


@pytest.mark.camvid
def test_the_real_one(camvid):
    counts = {split: len(open_dataset(camvid, split)) for split in ("train", "val", "test")}
    assert counts == {"train": 367, "val": 101, "test": 233}
    data = open_dataset(camvid, "val")
    assert data.classes == CAMVID
    for index in (0, 50, 100):
        pair, sample = data.pairs[index], data[index]
        stored = np.asarray(Image.open(pair.label))
        np.testing.assert_array_equal(sample.label, np.where(stored == 11, 255, stored))
        np.testing.assert_array_equal(sample.image, np.asarray(Image.open(pair.image)))
        assert sample.image.shape == (360, 480, 3)
