"""The built-in scenes: reproducible, complete, and ambiguous where they claim to be."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.spatial import cKDTree

from lookwider.data.sample import SegmentationDataset
from lookwider.data.scenes import (
    FAILURE_KINDS,
    MIN_SIZE,
    SCENE_CLASSES,
    SCENE_KINDS,
    SPLITS,
    Scene,
    SceneDataset,
    scene,
)
from lookwider.data.scenes.bed import Bed, Cloth, paint_pillow, paint_sheet, sheet_colours
from lookwider.data.scenes.buildings import draw_building, facade_colours, paint_building
from lookwider.data.scenes.classes import PROBES, SceneClass
from lookwider.data.scenes.drawing import Canvas, lookup, noise, wave
from lookwider.data.scenes.kinds import draw_kind, streams
from lookwider.data.scenes.light import LIGHTS
from lookwider.data.scenes.masts import ENDS, HEAD, Mast, paint_mast
from lookwider.data.scenes.vessels import HALO
from lookwider.errors import DataError

PAIRS = [("lake", "road"), ("skyline", "street")]
SMALL = (64, 80)
KNOWN = {
    "lake": "c9d713fe5a62a667",
    "road": "61db5ced3be81ef4",
    "street": "bc0488937a05dddf",
    "skyline": "ba0df039f4175ea3",
    "bedroom": "a980e663a615344e",
}


def blobs(picture: Scene) -> Iterator[tuple[np.ndarray, float]]:
    """Yield the mask of each boat or car, and its height in pixels."""
    parts, count = ndimage.label(np.isin(picture.label, [SceneClass.BOAT, SceneClass.CAR]))
    for i, box in enumerate(ndimage.find_objects(parts), start=1):
        assert i <= count
        yield parts == i, box[0].stop - box[0].start


# ---------------------------------------------------------------- the pure function


@pytest.mark.parametrize("kind", SCENE_KINDS)
def test_a_scene_is_a_pure_function_of_its_arguments(kind):
    first = scene(3, 5, SMALL, kind=kind)
    scene(3, 6, SMALL)
    second = scene(3, 5, SMALL, kind=kind)
    for name in ("image", "label", "failure"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    assert not np.array_equal(first.image, scene(3, 6, SMALL, kind=kind).image)
    assert not np.array_equal(first.image, scene(4, 5, SMALL, kind=kind).image)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**40),
    st.integers(0, 10**6),
    st.tuples(st.integers(MIN_SIZE, 120), st.integers(MIN_SIZE, 120)),
    st.sampled_from(SCENE_KINDS),
)
def test_every_size_is_complete(seed, index, size, kind):
    picture = scene(seed, index, size, kind=kind)
    assert picture.kind == kind
    assert picture.image.shape == (*size, 3)
    assert picture.label.shape == picture.failure.shape == size
    assert {a.dtype for a in (picture.image, picture.label, picture.failure)} == {np.dtype("uint8")}
    assert picture.label.max() < len(SCENE_CLASSES)
    assert picture.image.std() > 10
    expected = np.zeros(size, np.uint8)
    for failure, members in PROBES.items():
        expected[np.isin(picture.label, members)] = failure
    np.testing.assert_array_equal(picture.failure, expected)
    assert expected.any()


@pytest.mark.parametrize("kind", SCENE_KINDS)
def test_the_composition_is_the_same_at_every_size(kind):
    small, large = scene(0, 4, (96, 120), kind=kind), scene(0, 4, (288, 360), kind=kind)
    assert np.mean(small.label == large.label[1::3, 1::3]) > 0.97
    means = large.image.reshape(96, 3, 120, 3, 3).mean((1, 3))
    assert np.abs(means - small.image).mean() < 8


def test_large_scenes():
    assert scene(0, 0, (512, 768)).image.shape == (512, 768, 3)


def test_the_failure_kinds_and_classes():
    assert FAILURE_KINDS[1:] == (
        "mismatched relationship",
        "confusable categories",
        "inconspicuous classes",
    )
    assert len(set(SCENE_CLASSES.palette)) == len(SCENE_CLASSES) == 21
    assert SCENE_CLASSES.names[SceneClass.SKYSCRAPER] == "skyscraper"


def test_every_kind_and_class_occurs_and_kinds_are_equally_likely():
    data = SceneDataset(60, size=SMALL)
    pictures = [data.scene(i) for i in range(60)]
    assert {p.kind for p in pictures} == set(SCENE_KINDS)
    shown = Counter(int(c) for p in pictures for c in np.unique(p.label))
    assert set(shown) == set(range(len(SCENE_CLASSES)))
    assert min(shown.values()) >= 4
    kinds = Counter(draw_kind(streams(1, i)) for i in range(2000))
    assert all(340 <= kinds[kind] <= 460 for kind in SCENE_KINDS)


# ---------------------------------------------------------------- the data set


def test_the_data_set_is_one():
    data = SceneDataset(3, size=SMALL, seed=2)
    assert isinstance(data, SegmentationDataset)
    assert len(data) == len(data.names) == len(set(data.names)) == 3
    assert data.classes is SCENE_CLASSES
    assert data.class_map.ids == {i: i for i in range(21)}
    assert (data.extra_classes, data.in_channels) == ({}, 3)
    for i in range(3):
        sample, picture = data[i], scene(2, i, SMALL)
        np.testing.assert_array_equal(sample.image, picture.image)
        np.testing.assert_array_equal(sample.label, picture.label)
        assert sample.name == data.names[i]
    np.testing.assert_array_equal(data.scene(-1).image, scene(2, 2, SMALL).image)
    assert [s.name for s in data] == list(data.names)


def test_splits_share_no_seed():
    seeds = [SceneDataset.split(s, count=1, seed=i).seed for i in range(4) for s in SPLITS]
    assert len(set(seeds)) == len(seeds)
    assert {s: len(SceneDataset.split(s)) for s in SPLITS} == SPLITS
    assert SceneDataset.split("val", count=7, size=(40, 50)).size == (40, 50)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SceneDataset(0), r"got count=0 scenes, expected at least 1"),
        (lambda: SceneDataset(-2), r"got count=-2, expected a whole number from 0 up"),
        (lambda: SceneDataset(1.5), r"got count=1.5, expected a whole number"),
        (lambda: SceneDataset(1, size=(31, 64)), r"got size 31 x 64, expected at least 32 x 32"),
        (lambda: SceneDataset(1, size=(64,)), r"got size \(64,\), expected \(height, width\)"),
        (lambda: SceneDataset(1, size=(64.0, 64)), r"expected \(height, width\): two whole"),
        (lambda: SceneDataset(1, size=64), r"got size 64, expected \(height, width\)"),
        (lambda: SceneDataset(1, seed=-1), r"got seed=-1, expected a whole number from 0 up"),
        (lambda: SceneDataset.split("tset"), r"unknown split .* did you mean 'test'\?"),
        (lambda: scene(0, -1), r"got index=-1, expected a whole number from 0 up"),
        (lambda: scene(0, 0, kind="lak"), r"unknown kind of scene 'lak'; did you mean 'lake'\?"),
    ],
)
def test_mistakes_are_explained(make, message):
    with pytest.raises(DataError, match=message):
        make()


@pytest.mark.parametrize("index", [3, -4])
def test_an_index_out_of_range(index):
    data = SceneDataset(3, size=SMALL)
    with pytest.raises(IndexError, match=rf"got scene {index}, expected 0 to 2"):
        data[index]


# ---------------------------------------------------------------- mismatched relationship


@pytest.mark.parametrize(("on_water", "on_road"), PAIRS)
def test_a_boat_and_a_car_are_the_same_pixels_in_the_same_mist(on_water, on_road):
    for index in range(12):
        water, road = (scene(0, index, (96, 120), kind=k) for k in (on_water, on_road))
        boats, cars = water.label == SceneClass.BOAT, road.label == SceneClass.CAR
        np.testing.assert_array_equal(boats, cars)
        assert not (water.label == SceneClass.CAR).any()
        assert not (road.label == SceneClass.BOAT).any()
        for mask, height in blobs(water):
            # the mask is whole pixels, so its height and distances are up to one pixel off
            near = ndimage.distance_transform_edt(~mask) <= HALO * height - 1.5
            assert near.sum() > 3 * mask.sum()
            np.testing.assert_array_equal(water.image[near], road.image[near])
        far = ndimage.distance_transform_edt(~boats) > 4 * height
        ground = far & (water.label == SceneClass.WATER) & (road.label == SceneClass.ROAD)
        if ground.any():
            assert np.abs(water.image[ground].astype(int) - road.image[ground]).mean() > 10


def test_the_class_around_a_blob_always_tells():
    for index in range(40):
        for kind, ground in (("lake", "water"), ("road", "road"), ("skyline", "water")):
            picture = scene(5, index, SMALL, kind=kind)
            found = list(blobs(picture))
            assert found
            for mask, _ in found:
                ring = ndimage.binary_dilation(mask, np.ones((3, 3)), iterations=2) & ~mask
                names = {SCENE_CLASSES.names[c] for c in np.unique(picture.label[ring])}
                assert names == {ground}


@pytest.fixture(scope="module")
def lakes_and_roads() -> list[Scene]:
    return [scene(9, i, SMALL, kind=("lake", "road")[i % 2]) for i in range(400)]


def windows(pictures: list[Scene], radius: int, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Return one window centred in each scene's first blob, and 1 where it is a car."""
    found, truth = [], []
    for picture in pictures:
        mask, _ = next(blobs(picture))
        rows, columns = np.nonzero(mask)
        at = {
            "middle": (int(rows.mean()), int(columns.mean())),
            "end": (int(rows[columns.argmin()]), int(columns.min())),
            "top": (int(rows.min()), int(columns[rows.argmin()])),
        }[where]
        padded = np.pad(picture.image, ((radius, radius), (radius, radius), (0, 0)), mode="edge")
        found.append(padded[at[0] : at[0] + 2 * radius + 1, at[1] : at[1] + 2 * radius + 1])
        truth.append(int(picture.kind == "road"))
    return np.stack(found).reshape(len(found), -1) / 255, np.array(truth)


def nearest(train: np.ndarray, truth: np.ndarray, test: np.ndarray) -> np.ndarray:
    return truth[cKDTree(train).query(test)[1]]


def linear(train: np.ndarray, truth: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Ridge regression on +-1."""
    mean = train.mean(0)
    centred = train - mean
    kernel = centred @ centred.T + np.eye(len(train))
    weights = centred.T @ np.linalg.solve(kernel, 2.0 * truth - 1)
    return ((test - mean) @ weights > 0).astype(int)


@pytest.mark.parametrize("where", ["middle", "end", "top"])
def test_small_windows_cannot_tell_boats_from_cars(where, lakes_and_roads):
    features, truth = windows(lakes_and_roads, 3, where)  # 7 x 7; heights are from 5 pixels
    for classify in (nearest, linear):
        guesses = classify(features[:240], truth[:240], features[240:])
        assert 0.37 < np.mean(guesses == truth[240:]) < 0.63  # 160 coins: 0.5 +- 3.3 deviations


def test_large_windows_can_tell_boats_from_cars(lakes_and_roads):
    """The same classifiers on the same scenes, so that the test above means something."""
    features, truth = windows(lakes_and_roads, 32, "middle")
    for classify in (nearest, linear):
        guesses = classify(features[:240], truth[:240], features[240:])
        assert np.mean(guesses == truth[240:]) > 0.9


# ---------------------------------------------------------------- confusable categories


@pytest.mark.parametrize("light", LIGHTS)
def test_a_facade_is_the_same_in_a_house_and_a_skyscraper(light):
    for seed in range(5):
        building = draw_building(np.random.default_rng(seed), 0.2, 0.7)
        canvases = {}
        for kind in (SceneClass.HOUSE, SceneClass.SKYSCRAPER):
            canvases[kind] = Canvas((128, 160))
            paint_building(canvases[kind], building, light, kind)
        house, tower = canvases.values()
        shapes = [building.shape(kind) for kind in canvases]
        pitch = building.facade.pitch * house.unit
        left, base = 0.2 * house.width, 0.7 * house.height
        rows = slice(int(base - min(s[0] for s in shapes) * pitch) + 2, int(base) - 1)
        columns = slice(int(left) + 2, int(left + min(s[1] for s in shapes) * pitch) - 2)
        patch = house.image[:, rows, columns]
        assert patch.size > 500
        np.testing.assert_array_equal(patch, tower.image[:, rows, columns])
        assert (house.label[rows, columns] == SceneClass.HOUSE).all()
        assert (tower.label[rows, columns] == SceneClass.SKYSCRAPER).all()
        part = house.window(rows.start + 1, rows.stop - 2, columns.start + 1, columns.stop - 2)
        np.testing.assert_array_equal(
            house.image[:, part.rows, part.columns], facade_colours(house, building, light, part)
        )


def test_only_the_whole_shape_tells_a_house_from_a_skyscraper():
    for seed in range(50):
        building = draw_building(np.random.default_rng(seed), 0.2, 0.7)
        rows, columns = building.shape(SceneClass.HOUSE)
        assert rows < columns
        rows, columns = building.shape(SceneClass.SKYSCRAPER)
        assert rows > columns


def test_small_facade_windows_cannot_tell_houses_from_skyscrapers():
    rng = np.random.default_rng(0)
    found, truth = [], []
    for index in range(400):
        kind = (SceneClass.HOUSE, SceneClass.SKYSCRAPER)[index % 2]
        canvas = Canvas(SMALL)
        building = draw_building(rng, 0.1, 0.9)
        paint_building(canvas, building, LIGHTS[int(rng.integers(4))], kind)
        rows, columns = building.shape(kind)
        pitch = building.facade.pitch * canvas.unit
        # any place at least half a window wide inside the wall
        row = int(0.9 * 64 - 4 - rng.random() * (rows * pitch - 7))
        column = int(0.1 * 80 + 3 + rng.random() * (columns * pitch - 7))
        found.append(canvas.image[:, row - 2 : row + 3, column - 2 : column + 3].ravel())
        truth.append(index % 2)
    features, answers = np.stack(found), np.array(truth)
    for classify in (nearest, linear):
        guesses = classify(features[:240], answers[:240], features[240:])
        assert 0.37 < np.mean(guesses == answers[240:]) < 0.63


# ---------------------------------------------------------------- inconspicuous classes


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


@pytest.mark.parametrize("kind", SCENE_KINDS)
def test_arithmetic_stays_in_float32(kind, monkeypatch):
    """A float64 creeping in would be slow, and rounds differently."""
    seen = set()

    def watch(method):
        def watched(canvas, window, *arrays):
            seen.update(a.dtype for a in arrays if isinstance(a, np.ndarray))
            method(canvas, window, *arrays)

        return watched

    monkeypatch.setattr(Canvas, "paint", watch(Canvas.paint))
    monkeypatch.setattr(Canvas, "fill", watch(Canvas.fill))
    for index in range(6):
        scene(0, index, (48, 64), kind=kind)
    assert seen == {np.dtype(np.float32)}


@pytest.mark.parametrize("kind", SCENE_KINDS)
def test_the_bits_are_known(kind):
    """Only exactly rounded arithmetic is used, so every machine paints these bytes."""
    picture = scene(0, 0, (48, 64), kind=kind)
    digest = hashlib.sha256(picture.image.tobytes() + picture.label.tobytes()).hexdigest()
    assert digest[:16] == KNOWN[kind]
