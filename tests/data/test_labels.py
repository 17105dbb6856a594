import io

import cv2
import numpy as np
import pytest
from PIL import Image

from lookwider.data.labels import count_values, pack_rgb, read_stored, unpack_rgb
from lookwider.errors import DataError

LABEL = np.array([[0, 1, 2, 255], [3, 3, 0, 1]], np.uint8)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".pgm", ".webp"])
def test_grey_files_hold_indices(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    if suffix == ".webp":
        Image.fromarray(LABEL).save(path, lossless=True)
    else:
        cv2.imwrite(str(path), LABEL)
    stored = read_stored(path)
    assert (stored.encoding, stored.palette) == ("index", None)
    np.testing.assert_array_equal(stored.values, LABEL)


def test_palette_files_hold_indices_and_colours(tmp_path, put):
    put(tmp_path / "a.png", LABEL, palette=[10, 20, 30, 40, 50, 60, 1, 2, 3] + [0] * 759)
    stored = read_stored(tmp_path / "a.png")
    assert stored.encoding == "index"
    assert stored.palette[:2] == ((10, 20, 30), (40, 50, 60))
    np.testing.assert_array_equal(stored.values, LABEL)


def test_a_grey_palette_is_no_palette(tmp_path, put):
    put(tmp_path / "a.png", LABEL, palette=[v for i in range(256) for v in (i, i, i)])
    assert read_stored(tmp_path / "a.png").palette is None


def test_colour_files_hold_packed_colours(tmp_path, put):
    colours = np.random.default_rng(0).integers(0, 256, (4, 5, 3), np.uint8)
    put(tmp_path / "a.png", colours)
    stored = read_stored(tmp_path / "a.png")
    assert stored.encoding == "rgb"
    for y in range(4):
        for x in range(5):
            assert unpack_rgb(int(stored.values[y, x])) == tuple(int(v) for v in colours[y, x])


def test_colour_files_without_colour_hold_indices(tmp_path, put):
    put(tmp_path / "a.png", np.repeat(LABEL[:, :, None], 3, axis=2))
    stored = read_stored(tmp_path / "a.png")
    assert (stored.encoding, stored.grey_rgb) == ("index", True)
    np.testing.assert_array_equal(stored.values, LABEL)


def test_transparency_is_dropped(tmp_path, put):
    rgba = np.dstack([np.repeat(LABEL[:, :, None], 3, axis=2), np.full(LABEL.shape, 9, np.uint8)])
    put(tmp_path / "rgba.png", rgba)
    put(tmp_path / "la.png", np.dstack([LABEL, 255 - LABEL]))
    for name in ("rgba.png", "la.png"):
        np.testing.assert_array_equal(read_stored(tmp_path / name).values, LABEL)


def test_16_bit_and_1_bit(tmp_path):
    wide = np.array([[0, 1000], [65535, 7]], np.uint16)
    cv2.imwrite(str(tmp_path / "wide.png"), wide)
    np.testing.assert_array_equal(read_stored(tmp_path / "wide.png").values, wide)
    bits = np.array([[True, False, True]])
    Image.fromarray(bits).save(tmp_path / "bits.png")
    np.testing.assert_array_equal(read_stored(tmp_path / "bits.png").values, [[1, 0, 1]])


@pytest.mark.parametrize("array", [LABEL, LABEL.astype(np.int64) - 1, LABEL[:, :, None], LABEL > 1])
def test_npy(tmp_path, array):
    np.save(tmp_path / "a.npy", array)
    stored = read_stored(tmp_path / "a.npy")
    np.testing.assert_array_equal(stored.values, np.asarray(array).reshape(2, 4))


@pytest.mark.parametrize("array", [np.ones((2, 2), np.float32), np.ones((2, 2, 3), np.uint8)])
def test_npy_that_is_no_label(tmp_path, array):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(DataError, match=r"expected integers \(H, W\)"):
        read_stored(tmp_path / "a.npy")


def test_npy_with_a_pickle_is_never_opened(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match=r"not a readable \.npy array"):
        read_stored(tmp_path / "a.npy")


@pytest.mark.parametrize("name", ["a.jpg", "disguised.png"])
def test_jpeg_is_refused_by_content_too(tmp_path, name):
    Image.fromarray(LABEL).save(tmp_path / name, format="JPEG")
    with pytest.raises(DataError, match=rf"{name}: stored as JPEG, with losses.*as PNG"):
        read_stored(tmp_path / name)


def test_lossy_webp_is_refused(tmp_path):
    Image.fromarray(np.repeat(LABEL[:, :, None], 3, axis=2)).save(tmp_path / "a.webp", quality=80)
    with pytest.raises(DataError, match="lossy WEBP, with losses"):
        read_stored(tmp_path / "a.webp")


def test_several_frames_are_refused(tmp_path):
    frames = [Image.fromarray(LABEL), Image.fromarray(255 - LABEL)]
    frames[0].save(tmp_path / "a.tif", save_all=True, append_images=frames[1:])
    with pytest.raises(DataError, match="holds 2 frames, expected one"):
        read_stored(tmp_path / "a.tif")


def test_float_and_cmyk_are_refused(tmp_path):
    Image.fromarray(LABEL.astype(np.float32)).save(tmp_path / "f.tif")
    with pytest.raises(DataError, match="mode 'F', expected grey, palette or RGB"):
        read_stored(tmp_path / "f.tif")


def test_damaged_files(tmp_path):
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)
    Image.fromarray(noise).save(buffer, "PNG")
    (tmp_path / "cut.png").write_bytes(buffer.getvalue()[:1500])
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "text.png").write_text("hello")
    (tmp_path / "folder.png").mkdir()
    for name, message in {
        "cut.png": "damaged or truncated",
        "empty.png": r"not an image that can be read \(0 bytes\)",
        "text.png": "not an image that can be read",
        "folder.png": "is a folder, expected an image file",
        "missing.png": "no such file",
    }.items():
        with pytest.raises(DataError, match=f"{name}: ({message})"):
            read_stored(tmp_path / name)


def test_packing_is_its_own_inverse():
    colours = np.array([[0, 0, 0], [255, 255, 255], [1, 2, 3]], np.uint8)
    assert [unpack_rgb(int(v)) for v in pack_rgb(colours)] == [tuple(c) for c in colours.tolist()]


def test_count_values_equals_unique(tmp_path, put):
    label = np.random.default_rng(1).integers(0, 7, (20, 30), np.uint8)
    put(tmp_path / "a.png", label)
    values, counts = np.unique(label, return_counts=True)
    found = count_values(read_stored(tmp_path / "a.png"), "a")
    assert found.counts == dict(zip(values.tolist(), counts.tolist(), strict=True))
    wide = count_values(read_stored(tmp_path / "a.png").__class__(label.astype(int), "index"), "a")
    assert wide.counts == found.counts


def test_a_photo_is_no_label(tmp_path, put):
    put(tmp_path / "a.png", np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8))
    with pytest.raises(DataError, match=r"holds 2,000 different values.*photo"):
        count_values(read_stored(tmp_path / "a.png"), "label a")
