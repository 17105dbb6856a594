import pickle

import numpy as np
import pytest
import tifffile

from lookwider.classes import Classes, ClassMap
from lookwider.data import SegmentationDataset, open_dataset
from lookwider.data.readers.files import FileDataset
from lookwider.data.readers.pairs import Pair
from lookwider.errors import DataError


def dataset(root, names, suffix="tif"):
    pairs = tuple(Pair(n, root / f"images/{n}.{suffix}", root / f"labels/{n}.png") for n in names)
    return FileDataset(pairs, Classes.numbered(3), ClassMap.identity(3))


def test_is_a_segmentation_dataset(folder):
    data = open_dataset(folder, None)
    assert isinstance(data, SegmentationDataset)
    assert (len(data), data.in_channels, data.extra_classes) == (4, 3, {})
    assert repr(data) == "FileDataset(4 samples, 3 classes)"
    assert [sample.name for sample in data] == list(data.names)
    again = pickle.loads(pickle.dumps(data))
    np.testing.assert_array_equal(again[1].image, data[1].image)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("bands", [1, 5])
def test_many_bands_and_depths(tmp_path, put, dtype, bands):
    image = (np.random.default_rng(0).random((40, 50, bands)) * 200).astype(dtype)
    (tmp_path / "images").mkdir()
    np.save(tmp_path / "images" / "a.npy", image)
    label = put(tmp_path / "labels" / "a.png", np.full((40, 50), 2, np.uint8))
    data = dataset(tmp_path, ["a"], "npy")
    assert data.in_channels == bands
    assert data[0].image.dtype == dtype
    np.testing.assert_array_equal(data[0].image, image)
    np.testing.assert_array_equal(data[0].label, label)


@pytest.mark.parametrize("pages", [False, True])
def test_16_bit_tiff_of_seven_bands(tmp_path, put, pages):
    image = np.random.default_rng(0).integers(0, 65536, (40, 50, 7), np.uint16)
    (tmp_path / "images").mkdir()
    path = tmp_path / "images" / "a.tif"
    if pages:
        tifffile.imwrite(path, image.transpose(2, 0, 1), photometric="minisblack")
    else:
        tifffile.imwrite(path, image, photometric="minisblack", planarconfig="contig")
    put(tmp_path / "labels" / "a.png", np.zeros((40, 50), np.uint8))
    np.testing.assert_array_equal(dataset(tmp_path, ["a"])[0].image, image)


def test_another_number_of_bands(tmp_path, put, photo):
    (tmp_path / "images").mkdir()
    for name, bands in (("a", 3), ("b", 4)):
        np.save(tmp_path / "images" / f"{name}.npy", np.zeros((40, 50, bands), np.uint8))
        put(tmp_path / "labels" / f"{name}.png", np.zeros((40, 50), np.uint8))
    data = dataset(tmp_path, ["a", "b"], "npy")
    assert data[0].image.shape == (40, 50, 3)
    with pytest.raises(DataError, match=r"b\.npy: has 4 bands, expected 3 as the first .*a\.npy"):
        data[1]


@pytest.mark.parametrize(
    ("shape", "hint"),
    [((6, 9), "same size; see"), ((8, 6), r"same size \(turned by the image's EXIF")],
)
def test_another_size(folder, put, shape, hint):
    put(folder / "labels" / "2.png", np.zeros(shape, np.uint8))
    data = open_dataset(folder, None)
    message = rf"image .*2\.png is 6 x 8 .* but label .*2\.png is {shape[0]} x {shape[1]}, .*{hint}"
    with pytest.raises(DataError, match=message):
        data[2]
