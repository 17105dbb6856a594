"""Label maps, copies and previews against arrays in memory."""

import resource
from contextlib import contextmanager

import numpy as np
import pytest
import tifffile
from tests.inference.large.made import CLASSES, picture

from lookwider.inference.large.rasters import Georeference, gdal
from lookwider.inference.large.reading import open_windows
from lookwider.inference.large.writing import (
    copy_image,
    label_path,
    preview,
    write_labels,
)

LABELS = np.random.default_rng(0).integers(0, 9, (700, 1100)).astype(np.uint8)


def test_labels_are_read_back_as_they_were(tmp_path):
    place = Georeference(None, (0.5, 0.0, 100.0, 0.0, -0.5, 200.0))
    write_labels(tmp_path / "a.tif", LABELS.shape, lambda r, c: LABELS[r, c], CLASSES, place)
    with gdal("a test") as rasterio_, rasterio_.open(tmp_path / "a.tif") as file:
        np.testing.assert_array_equal(file.read(1), LABELS)
        assert tuple(file.transform)[:6] == place.transform
        assert file.crs is None
        assert file.block_shapes == [(512, 512)]
    assert label_path(tmp_path, "a") == tmp_path / "a.tif"


@contextmanager
def full_disk(size):
    """Let no file grow beyond a size, as on a disk that is full by then."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("size", [1000, 200_000, 300_000])
def test_labels_on_a_full_disk_are_an_error(tmp_path, size):
    with full_disk(size), pytest.raises(OSError, match=r"a\.tif"):
        write_labels(tmp_path / "a.tif", LABELS.shape, lambda r, c: LABELS[r, c], CLASSES, None)


@pytest.mark.parametrize("size", [1000, 150_000, 260_000])
def test_a_copy_on_a_full_disk_is_an_error_and_does_not_appear(tmp_path, size):
    np.save(tmp_path / "a.npy", picture(150, 600))
    with (
        open_windows(tmp_path / "a.npy") as image,
        full_disk(size),
        pytest.raises(OSError, match=r"b\.tif"),
    ):
        copy_image(image, tmp_path / "b.tif")
    assert not (tmp_path / "b.tif").exists()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_a_copy_holds_the_pixels_and_tells_of_its_rows(tmp_path, dtype):
    pixels = (picture(150, 600, 5) * 3.7).astype(dtype)
    tifffile.imwrite(
        tmp_path / "a.tif", pixels, photometric="minisblack", planarconfig="contig", rowsperstrip=7
    )
    told = []
    with open_windows(tmp_path / "a.tif") as image:
        assert not image.random_access
        copy_image(image, tmp_path / "b.tif", lambda *rows: told.append(rows))
    assert told == [(64, 150), (128, 150), (150, 150)]
    with open_windows(tmp_path / "b.tif", as_stored=True) as copy:
        assert copy.random_access
        np.testing.assert_array_equal(copy.read(slice(3, 140), slice(5, 600)), pixels[3:140, 5:])
    assert not (tmp_path / "b.tif.part").exists()


@pytest.mark.parametrize(("longest", "factor"), [(2048, 1), (400, 3), (90, 13)])
def test_a_preview_holds_means_and_the_labels_in_the_middle(tmp_path, monkeypatch, longest, factor):
    monkeypatch.setattr("lookwider.inference.large.writing.PREVIEW_PART", 100)
    pixels = picture(700, 1100)
    np.save(tmp_path / "a.npy", pixels)
    with open_windows(tmp_path / "a.npy") as image:
        shown, labels = preview(image, lambda r, c: LABELS[r, c], longest)
    assert labels.shape == (-(-700 // factor), -(-1100 // factor))
    assert max(labels.shape) <= longest
    for row, col in ((0, 0), (11, 30), (labels.shape[0] - 1, labels.shape[1] - 1)):
        cell = pixels[row * factor : (row + 1) * factor, col * factor : (col + 1) * factor]
        np.testing.assert_allclose(shown[row, col], cell.mean((0, 1)), atol=1.01)
        middle = [min(i * factor + factor // 2, n - 1) for i, n in ((row, 700), (col, 1100))]
        assert labels[row, col] == LABELS[tuple(middle)]
