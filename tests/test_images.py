"""Images of every kind are read right, and hostile files only ever cause a `DataError`."""

import contextlib
import io
import os
import struct
import zlib

import cv2
import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from lookwider import images
from lookwider.classes import Classes
from lookwider.errors import DataError
from lookwider.images import (
    atomic_path,
    displayable,
    label_image,
    open_image,
    overlay,
    read_image,
    write_bytes,
    write_image,
)

RGB = np.random.default_rng(0).integers(0, 256, (9, 13, 3), np.uint8)


def saved(path, image, **options):
    image.save(path, **options)
    return path


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".ppm", ".PNG", ".webp"])
def test_lossless_colour_is_read_as_it_was(tmp_path, suffix):
    path = saved(tmp_path / f"a{suffix}", Image.fromarray(RGB), lossless=True)
    np.testing.assert_array_equal(read_image(path), RGB)


def test_jpeg_is_read_as_opencv_reads_it(tmp_path):
    smooth = cv2.GaussianBlur(RGB, (9, 9), 4)
    path = saved(tmp_path / "a.jpg", Image.fromarray(smooth), quality=95, subsampling=0)
    theirs = cv2.imread(str(path))[:, :, ::-1]
    assert np.abs(read_image(path).astype(int) - theirs).max() <= 2


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_as_opencv_does(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    smooth = cv2.GaussianBlur(RGB, (9, 9), 4)
    path = saved(tmp_path / "a.jpg", Image.fromarray(smooth), exif=exif, quality=95, subsampling=0)
    theirs = cv2.imread(str(path))[:, :, ::-1]
    ours = read_image(path)
    assert ours.shape == ((9, 13, 3) if orientation < 5 else (13, 9, 3))
    assert np.abs(ours.astype(int) - theirs).max() <= 2


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [
        *[(mode, ".png") for mode in ("1", "L", "LA", "RGBA", "P")],
        *[(mode, ".tif") for mode in ("1", "L", "P", "RGBA", "CMYK")],
        ("P", ".gif"),
        ("CMYK", ".jpg"),
        ("YCbCr", ".jpg"),
    ],
)
def test_every_mode_becomes_rgb(tmp_path, mode, suffix):
    path = saved(tmp_path / f"a{suffix}", Image.fromarray(RGB).convert(mode))
    image = read_image(path)
    assert image.shape == (9, 13, 3)
    assert image.dtype == np.uint8


@pytest.mark.parametrize("transparency", [0, b"\x00\x80\xff"])
def test_a_palette_with_transparency_is_read_without_a_warning(tmp_path, transparency):
    picture = Image.fromarray(RGB).quantize(8)
    expected = np.asarray(picture.convert("RGB"))
    path = saved(tmp_path / "a.png", picture, transparency=transparency)
    np.testing.assert_array_equal(read_image(path), expected)


def test_of_an_animation_the_first_frame_is_read(tmp_path):
    frames = [Image.new("RGB", (5, 4), colour) for colour in ("red", "lime", "blue")]
    path = saved(tmp_path / "a.gif", frames[0], save_all=True, append_images=frames[1:])
    assert (read_image(path) == (255, 0, 0)).all()


def test_16_bit_grey_keeps_its_depth(tmp_path):
    deep = np.arange(6, dtype=np.uint16).reshape(2, 3) * 10_000
    for suffix in (".png", ".tif"):
        image = read_image(saved(tmp_path / f"a{suffix}", Image.fromarray(deep)))
        assert image.dtype == np.uint16
        np.testing.assert_array_equal(image[:, :, 0], deep)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64, ">u2", np.int32])
def test_bands_of_any_number_and_order(tmp_path, dtype):
    bands = np.random.default_rng(0).integers(0, 200, (40, 50, 7)).astype(dtype)
    expected = bands.astype(np.float32)
    np.save(tmp_path / "last.npy", bands)
    np.save(tmp_path / "first.npy", bands.transpose(2, 0, 1))
    for name in ("last.npy", "first.npy"):
        image = read_image(tmp_path / name)
        assert image.dtype in (np.uint8, np.uint16, np.float32)
        np.testing.assert_array_equal(image, expected)


def test_bands_of_a_tiff_in_either_order(tmp_path):
    bands = np.random.default_rng(0).integers(0, 60_000, (40, 50, 7)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "last.tif", bands, photometric="minisblack", planarconfig="contig")
    tifffile.imwrite(tmp_path / "first.tif", bands.transpose(2, 0, 1), photometric="minisblack")
    for name in ("last.tif", "first.tif"):
        np.testing.assert_array_equal(read_image(tmp_path / name), bands)


@pytest.mark.parametrize("shape", [(1, 1, 3), (2, 5, 3), (1, 500, 3), (3, 40, 3), (1, 1), (40, 33)])
def test_thin_images_are_not_taken_for_bands(tmp_path, shape):
    image = np.zeros(shape, np.uint8)
    np.save(tmp_path / "a.npy", image)
    assert read_image(tmp_path / "a.npy").shape == (*shape[:2], *(shape[2:] or (1,)))


def hostile(folder):
    """Write files that are not images, and return the message expected of each."""
    png = io.BytesIO()
    Image.fromarray(RGB).save(png, "PNG")
    (folder / "empty.png").touch()
    (folder / "text.jpg").write_text("hello")
    (folder / "truncated.png").write_bytes(png.getvalue()[:-200])
    (folder / "folder.png").mkdir()
    (folder / "folder.npy").mkdir()
    (folder / "loop.png").symlink_to(folder / "loop.png")
    os.mkfifo(folder / "pipe.png")
    size = struct.pack(">II", 60_000, 60_000) + bytes([8, 2, 0, 0, 0])
    chunk = b"IHDR" + size
    header = struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    (folder / "bomb.png").write_bytes(png.getvalue()[:8] + header + png.getvalue()[33:])
    np.save(folder / "pickle.npy", np.array([{}], dtype=object), allow_pickle=True)
    np.save(folder / "nan.npy", np.full((2, 3), np.nan))
    np.save(folder / "large.npy", np.full((2, 3), 1e300))
    np.save(folder / "text.npy", np.full((2, 3), "x"))
    np.save(folder / "scalar.npy", np.float32(1))
    np.save(folder / "four.npy", np.zeros((2, 2, 2, 2), np.uint8))
    np.save(folder / "none.npy", np.zeros((0, 3, 3), np.uint8))
    np.savez(folder / "several.npz", np.zeros(1))
    (folder / "several.npz").rename(folder / "several.npy")
    with (folder / "promise.npy").open("wb") as file:
        shape = {"descr": "|u1", "fortran_order": False, "shape": (10**7, 10**7, 3)}
        np.lib.format.write_array_header_1_0(file, shape)
    (folder / "damaged.tif").write_bytes(b"II*\0" + b"\xff" * 40)
    return {
        "absent.png": "no such file",
        "absent.tif": "no such file",
        "absent.npy": "no such file",
        "empty.png": r"not an image that can be read \(0 bytes\)",
        "text.jpg": r"not an image that can be read \(5 bytes\)",
        "truncated.png": "damaged or truncated image",
        "folder.png": "is a folder",
        "folder.npy": "is a folder",
        "loop.png": "no such file",
        "pipe.png": "is a pipe or device",
        "bomb.png": "3,600,000,000 pixels, expected at most 1,000,000,000; larger",
        "pickle.npy": r"not a readable .npy array",
        "nan.npy": "holds NaN or infinite pixels",
        "large.npy": "holds NaN or infinite pixels",
        "text.npy": "expected uint8, uint16 or float32",
        "scalar.npy": r"got an array of shape \(\)",
        "four.npy": r"got an array of shape \(2, 2, 2, 2\)",
        "none.npy": ".npy",
        "several.npy": "holds several arrays",
        "promise.npy": "not a readable .npy array",
        "damaged.tif": "damaged or truncated image",
    }


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning")  # of damaged.tif
def test_hostile_files_are_named_with_their_reason(tmp_path):
    for name, message in hostile(tmp_path).items():
        with pytest.raises(DataError, match=message) as caught:
            read_image(tmp_path / name)
        assert name in str(caught.value)


def test_files_without_permission_say_so(tmp_path, monkeypatch):
    path = saved(tmp_path / "a.png", Image.fromarray(RGB))

    def refuse(*arguments):
        raise PermissionError("no")

    monkeypatch.setattr(Image, "open", refuse)
    with pytest.raises(DataError, match=r"a.png: no permission to read it"):
        read_image(path)


def test_images_beyond_pillows_own_limit_are_read_and_the_limit_is_kept(tmp_path, monkeypatch):
    path = saved(tmp_path / "a.png", Image.fromarray(RGB))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert read_image(path).shape == RGB.shape
    assert Image.MAX_IMAGE_PIXELS == 10
    monkeypatch.setattr(images, "MAX_PIXELS", 100)
    with pytest.raises(DataError, match="117 pixels, expected at most 100"):
        read_image(path)


def encoded(suffix):
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    options = {} if suffix in (".gif", ".bmp", ".ppm") else {"exif": exif}
    Image.fromarray(RGB).save(buffer, Image.registered_extensions()[suffix], **options)
    return buffer.getvalue()


CONTENT = {suffix: encoded(suffix) for suffix in (".png", ".jpg", ".gif", ".bmp", ".tif", ".webp")}


@pytest.mark.filterwarnings("ignore")  # Pillow and tifffile warn of much that is damaged
@settings(
    deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_damage_is_a_data_error_or_an_image(tmp_path, data):
    suffix = data.draw(st.sampled_from(sorted(CONTENT)))
    content = bytearray(CONTENT[suffix])
    reach = data.draw(st.sampled_from([40, 200, len(content)]))
    places = st.integers(0, min(reach, len(content)) - 1)
    for place in data.draw(st.lists(places, min_size=1, max_size=6)):
        content[place] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    with contextlib.suppress(DataError):
        image = read_image(path)
        assert image.ndim == 3


def test_bytes_within_another_file_are_read_by_name(tmp_path):
    with open_image(tmp_path / "row 3", CONTENT[".png"]) as image:
        assert image.size == (13, 9)
    with (
        pytest.raises(DataError, match=r"row 3: not an image that can be read \(1 bytes\)"),
        open_image(tmp_path / "row 3", b"x"),
    ):
        pass


def test_writing_is_all_or_nothing(tmp_path):
    write_bytes(tmp_path / "sub" / "a", b"one")
    with pytest.raises(ZeroDivisionError), atomic_path(tmp_path / "sub" / "a") as temporary:
        temporary.write_bytes(bytes(1 // 0))
    assert (tmp_path / "sub" / "a").read_bytes() == b"one"
    assert [path.name for path in (tmp_path / "sub").iterdir()] == ["a"]
    write_bytes(tmp_path / ("n" * 255), b"longest name")
    write_image(tmp_path / "b.jpg", Image.fromarray(RGB))
    with Image.open(tmp_path / "b.jpg") as image:
        assert image.format == "JPEG"


def test_labels_are_shown_in_the_classes_colours():
    classes = Classes(("a", "b"), ((255, 0, 0), (0, 0, 255)))
    labels = np.array([[0, 1, 255]], np.uint8)
    assert np.asarray(label_image(labels, classes).convert("RGB"))[0].tolist() == [
        [255, 0, 0],
        [0, 0, 255],
        [0, 0, 0],
    ]
    laid = np.asarray(overlay(np.full((1, 3, 3), 50, np.uint8), labels, classes, opacity=1.0))
    assert laid[0].tolist() == [[255, 0, 0], [0, 0, 255], [50, 50, 50]]


@pytest.mark.parametrize("bands", [1, 2, 3, 9])
def test_every_image_can_be_displayed(bands):
    deep = np.random.default_rng(0).integers(0, 4000, (5, 6, bands)).astype(np.uint16)
    for image in (deep, deep.astype(np.float32), np.zeros((5, 6, bands), np.float32)):
        shown = displayable(image)
        assert shown.shape == (5, 6, 3)
        assert shown.dtype == np.uint8
    assert displayable(deep).max() == 255
