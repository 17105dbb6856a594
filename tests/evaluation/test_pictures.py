"""Pictures of an evaluation: their pixels say what they should."""

import io

import numpy as np
import pytest
from PIL import Image

from lookwider.classes import Classes
from lookwider.evaluation.pictures import (
    ERROR_COLOUR,
    Example,
    confusion_picture,
    errors,
    worst_picture,
)


@pytest.mark.parametrize("count", [1, 11, 60, 150])
def test_confusion_pictures_of_few_and_many_classes(count):
    counts = np.random.default_rng(0).integers(0, 100, (count, count))
    counts[count // 2] = 0
    with Image.open(io.BytesIO(confusion_picture(counts, Classes.numbered(count)))) as image:
        assert image.format == "PNG"
        assert 400 < image.width < 6000


def test_errors_are_red_ignored_pixels_white_the_rest_pale():
    label = np.array([[0, 0, 255]], np.uint8)
    prediction = np.array([[0, 1, 1]], np.uint8)
    picture = errors(Example("", np.zeros((1, 3, 3), np.uint8), label, prediction))
    assert picture[0].tolist() == [[150] * 3, list(ERROR_COLOUR), [255] * 3]


def test_worst_images_of_any_shape_and_depth_fit_one_picture():
    shapes = [(30, 40, 3), (1, 1, 3), (900, 20, 1), (20, 1500, 7)]
    random = np.random.default_rng(0)
    examples = [
        Example(
            f"image {i}",
            random.integers(0, 60_000, shape).astype(np.uint16),
            random.integers(0, 3, shape[:2]).astype(np.uint8),
            random.integers(0, 3, shape[:2]).astype(np.uint8),
        )
        for i, shape in enumerate(shapes)
    ]
    with Image.open(io.BytesIO(worst_picture(examples, Classes.numbered(3)))) as image:
        assert image.width > 1000


def height_of(png):
    with Image.open(io.BytesIO(png)) as image:
        return image.height


def test_a_note_is_printed_on_both_pictures():
    classes = Classes.numbered(4)
    counts = np.eye(4, dtype=np.int64)
    note = "windows of 473 x 473 " * 12
    with_note = confusion_picture(counts, classes, note=note)
    assert height_of(with_note) > height_of(confusion_picture(counts, classes))
    square = np.zeros((9, 9), np.uint8)
    examples = [Example("a", np.zeros((9, 9, 3), np.uint8), square, square)]
    assert worst_picture(examples, classes, note=note) != worst_picture(examples, classes)
