"""What is sent to the page: pixels by values, figures by hand."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from tests.web.served import CLASSES, picture

from lookwider.classes import Classes
from lookwider.images import overlay
from lookwider.predictions import Prediction
from lookwider.web.studio.files import asset, seen
from lookwider.web.studio.pictures import field_map, maps, thinned
from lookwider.web.studio.pictures import picture as shown_picture
from lookwider.web.studio.segmented import Segmented
from lookwider.web.studio.sessions import Pane
from lookwider.web.studio.views import difference_view, result

LABELS = np.array([[0, 0, 1], [1, 1, 1]], np.uint8)


def pane(labels=LABELS, classes=CLASSES, context=""):
    """Return a pane of hand-made labels, each of probability 0.6, the next of 0.2."""
    ranked = np.stack([labels, (labels + 1) % 3])
    shares = np.stack([np.full_like(labels, 153), np.full_like(labels, 51)])
    image = picture(*labels.shape)
    return Pane(
        Segmented(Prediction(labels, classes, "hand", image), ranked, shares), "net", context
    )


def read(content):
    return np.asarray(Image.open(io.BytesIO(content)))


def test_maps_hold_class_probability_and_the_next_class():
    pixels = read(maps(pane().segmented, 1))
    assert np.array_equal(pixels[..., 0], LABELS)
    assert (pixels[..., 1] == 153).all()
    assert np.array_equal(pixels[..., 2], LABELS + 1)


def test_maps_of_one_class():
    one = pane(np.zeros((2, 3), np.uint8)).segmented
    one = replace(one, ranked=one.ranked[:1], shares=one.shares[:1])
    assert (read(maps(one, 1))[..., 2] == 0).all()


@pytest.mark.parametrize("size", [(7, 11), (6, 9), (1, 2)])
def test_thinned_maps_fit_the_reduced_picture(size):
    values = np.arange(size[0] * size[1], dtype=np.uint8).reshape(size)
    small = thinned(values, 3)
    for i in range(small.shape[0]):
        for j in range(small.shape[1]):
            middle = min(3 * i + 1, size[0] - 1), min(3 * j + 1, size[1] - 1)
            assert small[i, j] == values[middle]
    content, kind = shown_picture(np.zeros((*size, 3), np.uint8), 3)
    assert read(content).shape[:2] == small.shape
    assert kind == "image/png"


def test_large_pictures_are_jpegs_near_the_image():
    image = picture(480, 640)
    content, kind = shown_picture(image, 1)
    assert kind == "image/jpeg"
    assert np.abs(read(content).astype(int) - image).mean() < 3


def test_a_field_map_is_white_where_the_field_is_strongest():
    shares = np.array([[0, 0.5, 1]], np.float32)
    assert read(field_map(shares, 1)).tolist() == [[0, 128, 255]]


def test_the_overlay_is_as_seen():
    one = pane()
    image = one.segmented.prediction.image
    assert np.array_equal(seen(one, 0.3, ""), overlay(image, LABELS, CLASSES, 0.3))
    hidden = np.where(LABELS == 1, 255, LABELS).astype(np.uint8)
    assert np.array_equal(seen(one, 0.3, "1,x"), overlay(image, hidden, CLASSES, 0.3))


def test_figures():
    figures = result(pane())
    assert (figures["image"], figures["model"], figures["context"]) == ("hand", "net", "its own")
    assert (figures["height"], figures["width"], figures["mean_confidence"]) == (2, 3, 0.6)
    sky, sea, boat = figures["classes"]
    assert (sky["name"], sky["pixels"], sky["area"], sky["confidence"]) == ("sky", 2, 2 / 6, 0.6)
    assert (sea["pixels"], boat["pixels"], boat["confidence"]) == (4, 0, None)


def test_differences():
    other = np.array([[0, 2, 2], [1, 1, 2]], np.uint8)
    found = difference_view(pane(), pane(other))
    assert found["share"] == 0.5
    assert found["moves"] == [
        {"before": "sea", "after": "boat", "share": 2 / 6},
        {"before": "sky", "after": "boat", "share": 1 / 6},
    ]
    assert difference_view(pane(), pane(classes=Classes.numbered(3))) is None


def test_the_page_fetches_nothing_from_elsewhere():
    for name in ("studio.html", "studio.css", "drawing.js", "legend.js", "panes.js", "studio.js"):
        assert "http" not in asset(name).replace("http-equiv", ""), name
    assert not set("`") & set(asset("studio.html"))  # Gradio fills templates in
