import numpy as np
import pytest
import scipy.io

from lookwider.data import open_dataset
from lookwider.data.layouts import find_layout, list_dataset
from lookwider.errors import DataError
from lookwider.known_classes import SIFT_FLOW, SIFT_FLOW_GEOMETRIC

INNER = "spatial_envelope_256x256_static_8outdoorcategories"
SEMANTIC = np.arange(34, dtype=np.uint8)[None]
GEOMETRIC = (np.arange(34, dtype=np.int16) % 5 - 1)[None]  # -1 (void), 0, 1, 2, 3


@pytest.fixture
def siftflow(tmp_path, put, photo):
    for name in ("coast_1", "coast_2", "street_1"):
        put(tmp_path / "Images" / INNER / f"{name}.jpg", photo(0, 1, 34))
        for folder, label in (("SemanticLabels", SEMANTIC), ("GeoLabels", GEOMETRIC)):
            (tmp_path / folder / INNER).mkdir(parents=True, exist_ok=True)
            scipy.io.savemat(tmp_path / folder / INNER / f"{name}.mat", {"S": label})
    return tmp_path


def test_both_heads(siftflow):
    assert find_layout(siftflow) == "siftflow"
    data = open_dataset(siftflow)
    assert len(data) == 3
    assert data.classes == SIFT_FLOW
    assert data.extra_classes == {"geometric": SIFT_FLOW_GEOMETRIC}
    sample = data[0]
    # FCN's data layer: uint8, minus one, -1 set to 0 first
    np.testing.assert_array_equal(sample.label, SEMANTIC - np.uint8(1))
    reference = np.where(GEOMETRIC == -1, 0, GEOMETRIC).astype(np.uint8) - np.uint8(1)
    np.testing.assert_array_equal(sample.extra_labels["geometric"], reference)


def test_fcn_lists(siftflow):
    (siftflow / "trainval.txt").write_text("coast_1\nstreet_1\n")
    (siftflow / "test.txt").write_text("coast_2\n")
    assert open_dataset(siftflow, "trainval").names == ("coast_1", "street_1")
    assert open_dataset(siftflow, "test").names == ("coast_2",)
    (siftflow / "test.txt").write_text("coast_9\n")
    with pytest.raises(DataError, match="split 'test' names 'coast_9', which is not in Images/"):
        open_dataset(siftflow, "test")


def test_the_original_list(siftflow):
    (siftflow / "TestSet1.txt").write_text(f"{INNER}\\coast_2.jpg\n")
    assert open_dataset(siftflow, "test").names == ("coast_2",)
    assert open_dataset(siftflow, "train").names == ("coast_1", "street_1")


def test_images_without_both_labels_are_reported(siftflow):
    (siftflow / "GeoLabels" / INNER / "coast_1.mat").unlink()
    listing = list_dataset(siftflow, "train")
    assert [p.stem for p in listing.unpaired_images] == ["coast_1"]
    assert len(listing.pairs) == 2


def test_extra_labels_of_another_size(siftflow):
    scipy.io.savemat(siftflow / "GeoLabels" / INNER / "coast_1.mat", {"S": GEOMETRIC[:, :5]})
    with pytest.raises(DataError, match=r"GeoLabels.*is 1 x 5, expected the same size"):
        open_dataset(siftflow)[0]
