"""The built-in scenes: masts and pillows that hardly show, and how they are painted."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from tests.data.scenes.pictures import SMALL

from lookwider.data.scenes import scene
from lookwider.data.scenes.bed import Bed, Cloth, paint_pillow, paint_sheet, sheet_colours
from lookwider.data.scenes.classes import SceneClass
from lookwider.data.scenes.drawing import Canvas, lookup, noise, wave
from lookwider.data.scenes.light import LIGHTS
from lookwider.data.scenes.masts import ENDS, HEAD, Mast, paint_mast


@pytest.mark.parametrize("size", [(32, 32), (128, 160), (300, 200)])
def test_masts_differ_only_at_their_ends(size):
    mast = Mast(x=0.45, base=0.8, height=0.5, side=1, board=2)
    canvases = []
    for end in ENDS:
        canvas = Canvas(size)
        canvas.image += np.random.default_rng(0).random(canvas.image.shape, np.float32)
        paint_mast(canvas, mast, LIGHTS[1], end)
        assert set(np.unique(canvas.label)) == {0, end}
        canvases.append(canvas)
    top = 0.8 * size[0] - 0.5 * canvases[0].unit
    below = int(top + HEAD * canvases[0].unit) + 3
    for canvas in canvases[1:]:
        np.testing.assert_array_equal(canvas.image[:, below:], canvases[0].image[:, below:])
        np.testing.assert_array_equal(canvas.label[below:] > 0, canvases[0].label[below:] > 0)
        assert not np.array_equal(canvas.image[:, :below], canvases[0].image[:, :below])
    shaft = canvases[0].label[below : int(0.8 * size[0])]
    assert (shaft > 0).any(axis=1).all()
    assert (shaft > 0).sum(axis=1).max() <= max(1, round(0.02 * canvases[0].unit))


@pytest.mark.parametrize("pattern", range(4))
def test_a_pillow_has_its_sheets_texture(pattern):
    rng = np.random.default_rng(pattern)
    bed = Bed(0.5, 0.55, 0.86, 0.21, 0.31)
    cloth = Cloth(
        ((0.9, 0.9, 0.9), (0.2, 0.4, 0.7)), pattern, 4.0, rng.random((16, 16), np.float32)
    )
    canvas = Canvas((128, 160))
    paint_sheet(canvas, bed, cloth, (1.0, 0.95, 0.9))
    sheet, label = canvas.image.copy(), canvas.label.copy()
    paint_pillow(canvas, bed, (0.1, 0.25))
    pillow = canvas.label == SceneClass.PILLOW
    assert pillow.sum() > 150
    assert (label[pillow] == SceneClass.BED).all()

    part = canvas.window(0, 128)
    texture = sheet_colours(canvas, bed, cloth, (1.0, 0.95, 0.9), part)[:, pillow]
    np.testing.assert_array_equal(sheet[:, pillow], texture)
    ratio = canvas.image[:, pillow] / texture
    np.testing.assert_allclose(ratio, np.broadcast_to(ratio[:1], ratio.shape), rtol=1e-5)  # grey
    assert ratio.min() > 0.8
    assert ratio.max() < 1.08
    inner = ndimage.binary_erosion(pillow, iterations=2)
    assert np.abs(canvas.image[:, inner] / sheet[:, inner] - 1).max() < 0.08
    outside = ~ndimage.binary_dilation(pillow, iterations=3)
    np.testing.assert_array_equal(canvas.image[:, outside], sheet[:, outside])


def test_pillows_lie_on_the_bed():
    for index in range(30):
        label = scene(0, index, SMALL, kind="bedroom").label
        pillow = label == SceneClass.PILLOW
        assert pillow.any()
        ring = ndimage.binary_dilation(pillow) & ~pillow
        assert (label[ring] == SceneClass.BED).all()


# ---------------------------------------------------------------- drawing


def test_painting_covers_to_the_last_bit():
    backgrounds = [np.random.default_rng(i).random((3, 8, 9), np.float32) for i in range(2)]
    painted = []
    for background in backgrounds:
        canvas = Canvas((8, 9))
        canvas.image[:] = background
        window = canvas.window()
        canvas.paint(window, np.ones(window.shape, np.float32), (0.1, 0.7, 0.3), 4)
        assert canvas.image.dtype == np.float32
        assert (canvas.label == 4).all()
        painted.append(canvas.image)
    np.testing.assert_array_equal(*painted)


def test_noise_and_lookup_interpolate_between_lattice_values():
    rng = np.random.default_rng(0)
    field = noise(rng, (50, 70), (3, 4), 3)
    assert field.shape == (50, 70)
    assert field.dtype == np.float32
    assert 0 <= field.min() < field.max() <= 1
    values = rng.random((5, 7), np.float32)
    at = lookup(values, np.arange(-5, 9, dtype=np.float32)[:, None], np.arange(-7, 9.0)[None, :])
    expected = values[np.arange(-5, 9)[:, None] % 5, np.arange(-7, 9)[None, :] % 7]
    np.testing.assert_array_equal(at, expected)
    between = lookup(values, np.full((1, 1), 0.5, np.float32), np.full((1, 1), 1.5, np.float32))
    assert between[0, 0] == pytest.approx(values[:2, 1:3].mean(), rel=1e-6)


def test_the_wave_is_nearly_a_sine():
    turns = np.linspace(-3, 3, 601, dtype=np.float32)
    assert np.abs(wave(turns) - np.sin(2 * np.pi * turns.astype(np.float64))).max() < 0.06
