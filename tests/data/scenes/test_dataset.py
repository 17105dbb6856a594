"""The built-in scenes: reproducible and complete."""

from __future__ import annotations

import hashlib
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.data.scenes.pictures import SMALL

from lookwider.data.sample import SegmentationDataset
from lookwider.data.scenes import (
    FAILURE_KINDS,
    MIN_SIZE,
    SCENE_CLASSES,
    SCENE_KINDS,
    SPLITS,
    SceneDataset,
    scene,
)
from lookwider.data.scenes.classes import PROBES, SceneClass
from lookwider.data.scenes.drawing import Canvas
from lookwider.data.scenes.kinds import draw_kind, streams
from lookwider.errors import DataError

KNOWN = {
    "lake": "c9d713fe5a62a667",
    "road": "61db5ced3be81ef4",
    "street": "bc0488937a05dddf",
    "skyline": "ba0df039f4175ea3",
    "bedroom": "a980e663a615344e",
}


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
