"""Predictions: what is saved, under which names, and what is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lookwider.classes import Classes
from lookwider.errors import LookwiderError
from lookwider.predictions import Prediction, checked_name, label_path

CLASSES = Classes(("sky", "sea"), ((10, 20, 200), (0, 120, 90)))
LABELS = np.array([[0, 1, 1], [255, 1, 0]], np.uint8)


def prediction(**changes):
    values = {
        "labels": LABELS,
        "classes": CLASSES,
        "name": "street/a",
        "image": np.full((2, 3, 3), 100, np.uint8),
        "probabilities": np.full((2, 2, 3), 0.5, np.float32),
    }
    return Prediction(**(values | changes))


def test_saved_files_hold_ids_palette_overlay_and_probabilities(tmp_path):
    paths = prediction().save(tmp_path)
    names = [path.relative_to(tmp_path).as_posix() for path in paths]
    assert names == ["street/a_probabilities.npz", "street/a_overlay.jpg", "street/a.png"]
    with Image.open(paths[-1]) as image:
        assert image.mode == "P"
        np.testing.assert_array_equal(np.asarray(image), LABELS)
        assert image.getpalette()[:6] == [10, 20, 200, 0, 120, 90]
    with np.load(paths[0], allow_pickle=False) as arrays:
        assert arrays["probabilities"].dtype == np.float16
        np.testing.assert_array_equal(arrays["probabilities"], 0.5)
        assert arrays["classes"].tolist() == ["sky", "sea"]
    assert paths[-1] == label_path(tmp_path, "street/a")
    assert sorted(p.name for p in (tmp_path / "street").iterdir()) == sorted(
        path.name for path in paths
    )


def test_overlay_mixes_by_opacity_and_leaves_ignored_pixels():
    mixed = np.asarray(prediction().overlay(opacity=0.5))
    assert mixed[0, 0].tolist() == [55, 60, 150]
    assert mixed[1, 0].tolist() == [100, 100, 100]


def test_overlay_larger_than_a_jpeg_can_be_is_a_png(tmp_path):
    labels = np.zeros((1, 65_600), np.uint8)
    paths = prediction(
        labels=labels, image=np.zeros((1, 65_600, 3), np.uint8), probabilities=None
    ).save(tmp_path)
    assert [path.name for path in paths] == ["a_overlay.png", "a.png"]


def test_only_labels_without_an_image(tmp_path):
    paths = prediction(image=None, probabilities=None).save(tmp_path)
    assert [path.name for path in paths] == ["a.png"]
    with pytest.raises(LookwiderError, match="holds no image"):
        prediction(image=None).overlay()


def test_areas_are_shares_of_the_whole_image():
    assert prediction().areas() == {"sky": 2 / 6, "sea": 3 / 6}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": LABELS.astype(np.int64)}, r"type int64, expected \(H, W\) of uint8"),
        ({"labels": LABELS[None]}, r"shape \(1, 2, 3\)"),
        ({"labels": LABELS + 2}, r"class id \d in the labels of 'street/a', expected 0..1 or 255"),
        ({"image": np.zeros((3, 3, 3), np.uint8)}, r"image of \(3, 3\) for labels of \(2, 3\)"),
        ({"probabilities": np.zeros((3, 2, 3), np.float32)}, r"expected \(2, 2, 3\)"),
    ],
)
def test_parts_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(LookwiderError, match=message):
        prediction(**changes)


@pytest.mark.parametrize(
    "name", ["", "/etc/x", "../x", "a/../../x", "a//b", "a/.", "a\\..\\b", "c:/x", "a\0b", "a/"]
)
def test_names_that_lead_elsewhere_are_refused(name):
    with pytest.raises(LookwiderError, match="expected a relative path"):
        prediction(name=name)


@given(st.text(max_size=12))
def test_every_accepted_name_stays_inside_the_folder(name):
    from pathlib import Path

    try:
        checked_name(name)
    except LookwiderError:
        return
    assert label_path("/out", name).is_relative_to(Path("/out"))
    assert ".." not in label_path("/out", name).parts
