"""Ordinary images decoded whole, and what TIFFs say beside their pixels."""

import itertools
import zlib

import numpy as np
import pytest
import rasterio
import tifffile
from PIL import Image
from rasterio.control import GroundControlPoint
from rasterio.rpc import RPC
from tests.inference.large.made import network, picture, written

from lookwider.cli.large import in_words
from lookwider.errors import DataError
from lookwider.images import read_image
from lookwider.inference.large import Tiling, predict_large
from lookwider.inference.large.rasters import gdal
from lookwider.inference.large.reading import DecodedImage, open_windows

PIXELS = picture(70, 90)
TILES = Tiling(tile=48)


def turned(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return {"exif": exif}


KINDS = {
    "halved_colours.jpg": ("RGB", {"subsampling": 2}),
    "progressive.jpg": ("RGB", {"progressive": True}),
    "turned.jpg": ("RGB", turned(6)),
    "mirrored.png": ("RGB", turned(2)),
    "ink.jpg": ("CMYK", {}),
    "grey.png": ("L", {}),
    "palette.gif": ("P", {}),
    "a.bmp": ("RGB", {}),
}


@pytest.mark.parametrize("name", KINDS)
def test_what_is_decoded_whole_has_the_pixels_of_one_piece(tmp_path, name):
    mode, options = KINDS[name]
    Image.fromarray(PIXELS).convert(mode).save(tmp_path / name, **options)
    whole = read_image(tmp_path / name)
    with open_windows(tmp_path / name, whole=70 * 90) as image:
        assert isinstance(image, DecodedImage)
        assert (*image.size, image.bands) == whole.shape
        assert image.dtype == whole.dtype
        assert not image.other_colours
        np.testing.assert_array_equal(image.read(slice(3, 20), slice(5, 60)), whole[3:20, 5:60])
        rows, strips = zip(*image.strips(32), strict=True)
        np.testing.assert_array_equal(np.concatenate(strips), whole)
        assert (rows[0], rows[-1].stop) == (slice(0, 32), len(whole))


def test_images_of_more_pixels_stream(tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "a.jpg")
    Image.fromarray(PIXELS[:, :, 0].astype(np.uint16)).save(tmp_path / "deep.png")
    with open_windows(tmp_path / "a.jpg", whole=70 * 90 - 1) as image:
        assert not isinstance(image, DecodedImage)
        assert image.other_colours
    with open_windows(tmp_path / "deep.png", whole=10**6) as image:
        assert image.dtype == np.uint16
        assert not image.other_colours


def test_a_jpeg_gives_the_labels_of_one_piece(tmp_path):
    model, path = network("fcn32s"), tmp_path / "a.jpg"
    Image.fromarray(picture(130, 170)).save(path, subsampling=2, progressive=True)
    report = predict_large(model, path, tmp_path / "out", TILES)
    assert (report.exact, report.other_colours) == (True, False)
    assert "few levels" not in in_words(report)
    with Image.open(tmp_path / "out" / "a.tif") as file:
        found = np.asarray(file)
    whole = model.predict(path, probabilities=True)
    first, second = np.sort(whole.probabilities, 0)[[-1, -2]]
    assert not ((found != whole.labels) & (first - second > 1e-6)).any()


def test_a_jpeg_too_large_to_be_decoded_says_that_colours_may_be_off(tmp_path, monkeypatch):
    monkeypatch.setattr("lookwider.inference.large.budget.MOST_DECODED", 100)
    Image.fromarray(picture(70, 90)).save(tmp_path / "a.jpg")
    report = predict_large(network("fcn32s"), tmp_path / "a.jpg", tmp_path / "out", TILES)
    assert report.other_colours
    assert "a JPEG's colours may be a few levels off" in in_words(report)


def interlaced(path):
    """Write an interlaced PNG, which Pillow only reads: its header says so, its rows are of it."""
    Image.fromarray(PIXELS).save(path)
    content = bytearray(path.read_bytes())
    content[28] = 1
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    path.write_bytes(content)


def test_an_interlaced_png_that_is_too_large_is_refused(tmp_path):
    interlaced(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"interlaced or progressive.*convert it: gdal_translate"):
        open_windows(tmp_path / "a.png", whole=100)


PROFILE = {"driver": "GTiff", "height": 70, "width": 90, "count": 3, "dtype": "uint8"}


def test_control_points_are_kept(tmp_path):
    corners = itertools.product((0, 70), (0, 90))
    gcps = [GroundControlPoint(r, c, 500_000 + c, 4_600_000 - r, 0) for r, c in corners]
    with rasterio.open(tmp_path / "a.tif", "w", **PROFILE, gcps=gcps, crs="EPSG:32633") as file:
        file.write(PIXELS.transpose(2, 0, 1))
    predict_large(network("fcn32s"), tmp_path / "a.tif", tmp_path / "out", TILES)
    with gdal("a test") as found, found.open(tmp_path / "out" / "a.tif") as file:
        points, crs = file.gcps
        assert crs.to_epsg() == 32633
        assert [(p.row, p.col, p.x, p.y) for p in points] == [
            (p.row, p.col, p.x, p.y) for p in gcps
        ]


def test_rational_polynomials_are_kept(tmp_path):
    ones, line = [float(i) for i in range(20)], {"line_off": 35.0, "line_scale": 35.0}
    sample = {"samp_off": 45.0, "samp_scale": 45.0}
    place = {"lat_off": 40.0, "lat_scale": 0.1, "long_off": 9.0, "long_scale": 0.1}
    rpcs = RPC(
        height_off=100.0, height_scale=50.0, **line, **sample, **place,
        line_num_coeff=ones, line_den_coeff=ones, samp_num_coeff=ones, samp_den_coeff=ones,
    )  # fmt: skip
    with rasterio.open(tmp_path / "a.tif", "w", **PROFILE, rpcs=rpcs) as file:
        file.write(PIXELS.transpose(2, 0, 1))
    predict_large(network("fcn32s"), tmp_path / "a.tif", tmp_path / "out", TILES)
    with gdal("a test") as found, found.open(tmp_path / "out" / "a.tif") as file:
        assert file.rpcs.lat_off == 40.0
        assert file.rpcs.samp_num_coeff == ones


def test_every_page_is_checked_for_large_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr("lookwider.inference.large.rasters.MOST_BLOCK_BYTES", 6000)
    band = PIXELS[:, :, 0]
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(band, compression="zlib", rowsperstrip=8, metadata=None)
        file.write(band, compression="zlib", rowsperstrip=70, metadata=None)
    names = [f"GTIFF_DIR:{page}:{tmp_path / 'a.tif'}" for page in (1, 2)]
    monkeypatch.setattr("lookwider.inference.large.rasters._names", lambda path, driver: names)
    with pytest.raises(DataError, match=r"blocks of 70 x 90 pixels"):
        open_windows(tmp_path / "a.tif")


def test_too_many_pages_are_not_listed(tmp_path, monkeypatch):
    monkeypatch.setattr("lookwider.inference.large.rasters.MOST_PAGES", 3)
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for _ in range(4):
            file.write(PIXELS[:, :, 0], metadata=None)
    with pytest.raises(DataError, match=r"holds more than 3 pages.*GTIFF_DIR:1:a.tif page.tif"):
        open_windows(tmp_path / "a.tif")
    assert open_windows(written(tmp_path / "b.tif", PIXELS)).random_access
