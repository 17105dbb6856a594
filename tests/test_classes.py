"""Class names, palettes and class maps."""

import numpy as np
import pytest

from lookwider.classes import MAX_CLASSES, Classes, ClassMap, distinct_colours
from lookwider.errors import DataError


def test_palette_array_shows_ids_without_a_class_black():
    table = Classes(("a", "b"), ((1, 2, 3), (4, 5, 6))).palette_array()
    assert table.shape == (256, 3)
    assert table.dtype == np.uint8
    assert table[1].tolist() == [4, 5, 6]
    assert not table[2:].any()


@pytest.mark.parametrize(
    ("names", "palette", "message"),
    [
        ((), (), "got 0 classes, expected 1 to 255"),
        (tuple(map(str, range(256))), ((0, 0, 0),) * 256, "got 256 classes"),
        (("a", "b", "a"), ((0, 0, 0),) * 3, "must differ, got a more than once"),
        (("a", "b"), ((0, 0, 0),), "got 1 colours for 2 classes"),
        (("a",), ((0, 0, 256),), "three numbers from 0 to 255"),
        (("a",), ((0, 0),), "three numbers from 0 to 255"),
    ],
)
def test_impossible_classes_are_refused(names, palette, message):
    with pytest.raises(DataError, match=message):
        Classes(names, palette)


def test_colours_differ_for_as_many_classes_as_there_can_be():
    assert len(set(distinct_colours(MAX_CLASSES))) == MAX_CLASSES
    assert len(Classes.numbered(MAX_CLASSES)) == MAX_CLASSES


def test_identity_map():
    class_map = ClassMap.identity(3, ignore=(255, 9))
    assert class_map.ids == {0: 0, 1: 1, 2: 2}
    assert class_map.ignore == {255, 9}
    assert class_map.encoding == "index"
