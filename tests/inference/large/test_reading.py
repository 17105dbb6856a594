"""Windows of files have the values of `read_image`, and damage is named by rows and columns."""

import builtins

import cv2
import numpy as np
import pytest
import rasterio
import tifffile
from PIL import Image

from lookwider.errors import DataError, MissingExtraError
from lookwider.images import read_image
from lookwider.inference.large.rasters import gdal
from lookwider.inference.large.reading import open_windows

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (70, 90, 3), np.uint8)
DEEP = RNG.integers(0, 65_536, (70, 90, 7)).astype(np.uint16)
TILED = {"tile": (32, 48)}


def check_windows(path, *, tolerance=0):
    """Compare windows at borders, within and of everything with the whole image."""
    whole = read_image(path)
    with open_windows(path) as image:
        assert (*image.size, image.bands) == whole.shape
        for rows, cols in (((0, 70), (0, 90)), ((31, 34), (47, 90)), ((69, 70), (3, 4))):
            window = slice(*rows), slice(*cols)
            found = image.read(*window)
            assert found.dtype == whole.dtype
            difference = np.abs(found.astype(float) - whole[window].astype(float))
            assert difference.max() <= tolerance
        return image.random_access


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_the_kinds_of_colour(tmp_path, mode, suffix):
    Image.fromarray(RGB).convert(mode).save(tmp_path / f"a{suffix}")
    assert not check_windows(tmp_path / f"a{suffix}")


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_palettes_of_few_colours(tmp_path, bits):
    Image.fromarray(RGB).quantize(2**bits).save(tmp_path / "a.png", bits=bits)
    check_windows(tmp_path / "a.png")


@pytest.mark.parametrize("transparency", [0, b"\x00\x80\xff"])
def test_a_palette_with_transparency(tmp_path, transparency):
    Image.fromarray(RGB).quantize(8).save(tmp_path / "a.png", transparency=transparency)
    check_windows(tmp_path / "a.png")


@pytest.mark.parametrize("mode", ["1", "L"])
def test_grey_from_white_to_black(tmp_path, mode):
    Image.fromarray(RGB).convert(mode).save(tmp_path / "a.tif", tiffinfo={262: 0})
    check_windows(tmp_path / "a.tif")


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_16_bit_grey(tmp_path, suffix):
    Image.fromarray(DEEP[:, :, 0]).save(tmp_path / f"a{suffix}")
    check_windows(tmp_path / f"a{suffix}")


@pytest.mark.parametrize("bands", [1, 3, 4, 7])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_tiffs_of_any_bands_tiled(tmp_path, bands, dtype, planar):
    pixels = DEEP[:, :, :bands].astype(dtype)
    colour = "rgb" if bands in (3, 4) and dtype != np.float32 else "minisblack"
    if planar == "separate":
        pixels = np.ascontiguousarray(pixels.transpose(2, 0, 1))
    options = {"planarconfig": planar if bands > 1 else None, "photometric": colour}
    tifffile.imwrite(tmp_path / "a.tif", pixels, compression="zlib", tile=(32, 48), **options)
    assert check_windows(tmp_path / "a.tif")


def test_a_bigtiff_and_one_of_big_endian_numbers(tmp_path):
    options = {"photometric": "minisblack", "planarconfig": "contig"}
    tifffile.imwrite(tmp_path / "big.tif", DEEP, bigtiff=True, **options, **TILED)
    tifffile.imwrite(tmp_path / "end.tif", DEEP[:, :, :3], byteorder=">", photometric="rgb")
    for name in ("big.tif", "end.tif"):
        check_windows(tmp_path / name)


def test_pages_that_are_bands(tmp_path):
    pages = np.ascontiguousarray(DEEP.transpose(2, 0, 1))
    tifffile.imwrite(tmp_path / "a.tif", pages, photometric="minisblack", **TILED)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert (file.series[0].shape, len(file.pages)) == ((7, 70, 90), 7)
    check_windows(tmp_path / "a.tif")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float32, np.float64, ">u2"])
def test_arrays_in_either_order(tmp_path, dtype):
    np.save(tmp_path / "last.npy", DEEP.astype(dtype))
    np.save(tmp_path / "first.npy", DEEP.transpose(2, 0, 1).astype(dtype))
    np.save(tmp_path / "grey.npy", DEEP[:, :, 0].astype(dtype))
    for name in ("last.npy", "first.npy", "grey.npy"):
        assert check_windows(tmp_path / name)


SMOOTH = cv2.GaussianBlur(RGB, (0, 0), 5)


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize(("subsampling", "tolerance"), [(0, 1), (2, 8)])
def test_jpegs_but_for_what_decoders_differ_in(tmp_path, mode, subsampling, tolerance):
    Image.fromarray(SMOOTH).convert(mode).save(tmp_path / "a.jpg", subsampling=subsampling)
    check_windows(tmp_path / "a.jpg", tolerance=tolerance)


def test_jpeg_within_a_tiff(tmp_path):
    profile = {"driver": "GTiff", "height": 70, "width": 90, "count": 3, "dtype": "uint8"}
    options = {"tiled": True, "blockxsize": 32, "blockysize": 32, "photometric": "YCBCR"}
    with (
        gdal("a test"),
        rasterio.open(tmp_path / "a.tif", "w", **profile, **options, compress="JPEG") as file,
    ):
        file.write(SMOOTH.transpose(2, 0, 1))
    check_windows(tmp_path / "a.tif", tolerance=8)


def test_the_georeference_is_kept(tmp_path):
    place = rasterio.Affine(0.3, 0, 500_000, 0, -0.3, 4_600_000)
    profile = {"driver": "GTiff", "height": 70, "width": 90, "count": 3, "dtype": "uint8"}
    with rasterio.open(tmp_path / "a.tif", "w", **profile, crs="EPSG:32633", transform=place) as f:
        f.write(RGB.transpose(2, 0, 1))
    Image.fromarray(RGB).save(tmp_path / "b.tif")
    with open_windows(tmp_path / "a.tif") as a, open_windows(tmp_path / "b.tif") as b:
        assert a.georeference.transform == tuple(place)[:6]
        assert "UTM zone 33N" in a.georeference.crs
        assert b.georeference is None
    check_windows(tmp_path / "a.tif")


def refused(folder):
    """Write files that cannot be read in tiles; return what is said of each."""
    picture = Image.fromarray(RGB)
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.save(folder / "turned.jpg", exif=exif)
    picture.save(folder / "turned.png", exif=exif)
    picture.save(folder / "gradual.jpg", progressive=True)
    picture.convert("CMYK").save(folder / "ink.jpg")
    picture.convert("CMYK").save(folder / "ink.tif")
    picture.save(folder / "a.bmp")
    (folder / "text.tif").write_text("text")
    (folder / "text.png").write_text("text")
    (folder / "text.npy").write_text("text")
    np.savez(folder / "z.npz", RGB)
    (folder / "z.npz").rename(folder / "several.npy")
    np.save(folder / "four.npy", np.zeros((2, 2, 2, 2), np.uint8))
    np.save(folder / "long.npy", np.zeros((40, 40), np.int64))
    np.save(folder / "nan.npy", np.full((40, 40), np.nan, np.float32))
    tifffile.imwrite(folder / "signed.tif", np.zeros((40, 40), np.int16), photometric=1)
    return {
        "turned.jpg": r"turned or mirrored \(EXIF orientation\), expected upright",
        "turned.png": "turned or mirrored",
        "gradual.jpg": r"from coarse to fine \(interlaced or progressive\)",
        "ink.jpg": "colours stored as CMYK",
        "ink.tif": "colours stored as CMYK",
        "a.bmp": r".bmp files cannot be read in tiles, expected .jpeg, .jpg, .png, .tif, .tiff",
        "text.tif": "damaged or truncated image",
        "text.png": "not an image that can be read",
        "text.npy": "not a readable .npy array",
        "several.npy": "holds several arrays",
        "four.npy": r"got an array of shape \(2, 2, 2, 2\)",
        "long.npy": "pixels are int64, expected uint8, uint16 or float32",
        "nan.npy": "holds NaN or infinite pixels",
        "signed.tif": "pixels are int16",
        "none.tif": "no such file",
        "none.npy": "no such file",
    }


def test_what_cannot_be_read_is_named_with_its_reason(tmp_path):
    for name, message in refused(tmp_path).items():
        with pytest.raises(DataError, match=message) as caught:
            open_windows(tmp_path / name)
        assert name in str(caught.value)


def test_a_tiff_of_one_compressed_strip_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("lookwider.inference.large.rasters.MOST_BLOCK_BYTES", 18_000)
    tifffile.imwrite(tmp_path / "a.tif", RGB, compression="zlib", rowsperstrip=70)
    with pytest.raises(DataError, match=r"blocks of 70 x 90 pixels.*TILED=YES"):
        open_windows(tmp_path / "a.tif")


@pytest.mark.parametrize("suffix", [".tif", ".png", ".jpg"])
def test_a_file_cut_off_is_named_by_rows_and_columns(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    if suffix == ".tif":
        tifffile.imwrite(path, RGB, photometric="rgb", compression="zlib", tile=(32, 48))
    else:
        Image.fromarray(RGB).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    with open_windows(path) as image:
        image.read(slice(0, 8), slice(0, 8))
        with pytest.raises(DataError, match=r"rows 64 to 69, columns 10 to 89 cannot be read: "):
            image.read(slice(64, 70), slice(10, 90))


def test_without_rasterio_the_command_to_install_it_is_said(tmp_path, monkeypatch):
    Image.fromarray(RGB).save(tmp_path / "a.tif")
    real = builtins.__import__

    def missing(name, *arguments, **keywords):
        if name == "rasterio":
            raise ImportError(name)
        return real(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(MissingExtraError, match=r"needs rasterio.*lookwider\[geo\]"):
        open_windows(tmp_path / "a.tif")
