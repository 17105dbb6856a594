import numpy as np
import pytest

from lookwider.data import open_dataset
from lookwider.data.layouts import find_layout, list_dataset
from lookwider.known_classes import CITYSCAPES

# ids of the 19 scored classes in the order of their train ids
TRAIN_ID = {7: 0, 8: 1, 11: 2, 12: 3, 13: 4, 17: 5, 19: 6, 20: 7, 21: 8, 22: 9, 23: 10, 24: 11}
TRAIN_ID |= {25: 12, 26: 13, 27: 14, 28: 15, 31: 16, 32: 17, 33: 18}


@pytest.mark.parametrize("kind", ["labelIds", "labelTrainIds"])
def test_both_kinds_of_labels(tmp_path, put, photo, kind):
    name = "aachen_000000_000019"
    ids = np.array([[*range(34), 255, 0]], np.uint8)
    train_ids = np.vectorize(lambda v: TRAIN_ID.get(v, 255))(ids).astype(np.uint8)
    image = put(tmp_path / "leftImg8bit/train/aachen" / f"{name}_leftImg8bit.png", photo(0, 1, 36))
    labels = tmp_path / "gtFine/train/aachen"
    put(labels / f"{name}_gtFine_{kind}.png", ids if kind == "labelIds" else train_ids)
    put(labels / f"{name}_gtFine_color.png", photo(1, 1, 36))
    put(labels / f"{name}_gtFine_instanceIds.png", ids.astype(np.uint16))
    put(tmp_path / "leftImg8bit/train/bonn/bonn_1_leftImg8bit.png", photo())
    assert find_layout(tmp_path) == "cityscapes"
    data = open_dataset(tmp_path)
    assert (data.names, data.classes) == ((f"aachen/{name}",), CITYSCAPES)
    np.testing.assert_array_equal(data[0].image, image)
    np.testing.assert_array_equal(data[0].label, train_ids)
    assert [p.name for p in list_dataset(tmp_path, "train").unpaired_images] == [
        "bonn_1_leftImg8bit.png"
    ]
