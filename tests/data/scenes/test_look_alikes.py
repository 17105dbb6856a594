"""The built-in scenes are ambiguous where they claim to be: boats and cars, houses and towers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from tests.data.scenes.pictures import PAIRS, SMALL, blobs, linear, nearest, windows

from lookwider.data.scenes import (
    SCENE_CLASSES,
    Scene,
    scene,
)
from lookwider.data.scenes.buildings import draw_building, facade_colours, paint_building
from lookwider.data.scenes.classes import SceneClass
from lookwider.data.scenes.drawing import Canvas
from lookwider.data.scenes.light import LIGHTS
from lookwider.data.scenes.vessels import HALO


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
