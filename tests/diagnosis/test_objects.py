"""Objects of label maps: against a plain flood fill, and what lies around them."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as stn

from lookwider.diagnosis.objects import (
    LabelObject,
    around,
    border_classes,
    near_borders,
    objects_of,
)

LABELS = stn.arrays(
    np.uint8, st.tuples(st.integers(1, 7), st.integers(1, 7)), elements=st.sampled_from([0, 1, 255])
)


def flooded(labels):
    """Return the connected regions as sets of pixels, one pixel after the other."""
    left = {(y, x) for y, x in np.ndindex(labels.shape) if labels[y, x] != 255}
    regions = set()
    while left:
        region, edge = set(), [left.pop()]
        while edge:
            y, x = edge.pop()
            region.add((y, x))
            near = {(y + i, x + j) for i in (-1, 0, 1) for j in (-1, 0, 1)} & left
            same = {pixel for pixel in near if labels[pixel] == labels[y, x]}
            left -= same
            edge += same
        regions.add((int(labels[min(region)]), frozenset(region)))
    return regions


def whole(region, shape):
    mask = np.zeros(shape, bool)
    mask[region.slices] = region.mask
    return mask


@settings(max_examples=60, deadline=None)
@given(LABELS)
def test_objects_are_those_of_a_flood_fill(labels):
    found = list(objects_of(labels))
    pixels = {
        (o.class_id, frozenset(zip(*np.nonzero(whole(o, labels.shape)), strict=True)))
        for o in found
    }
    assert {(c, frozenset((int(y), int(x)) for y, x in px)) for c, px in pixels} == flooded(labels)
    assert all(o.area == np.count_nonzero(whole(o, labels.shape)) for o in found)
    assert [o.area for o in objects_of(labels, 3)] == [o.area for o in found if o.area >= 3]


@settings(max_examples=40, deadline=None)
@given(LABELS, st.integers(1, 3))
def test_around_is_all_that_is_near(labels, width):
    for region in objects_of(labels):
        own = whole(region, labels.shape)
        places = np.argwhere(own)
        near = np.array(
            [
                [np.abs(places - (y, x)).max(1).min() <= width for x in range(labels.shape[1])]
                for y in range(labels.shape[0])
            ]
        )
        found = np.zeros(labels.shape, bool)
        ring = around(region, labels.shape, width)
        found[ring.slices] = ring.mask
        assert np.array_equal(found, near & ~own)


def test_an_ignored_pixel_of_the_border_stands_for_the_class_behind_it():
    labels = np.array([[1, 1, 2], [1, 0, 255], [2, 2, 2]], np.uint8)
    dot = LabelObject(0, (1, 1, 2, 2), np.ones((1, 1), bool))
    assert border_classes(dot, labels, 4).tolist() == [0, 3, 5, 0]


def test_the_border_does_not_reach_across_wide_ignored_areas():
    for width, found in ((10, [1, 0]), (11, [0, 0])):
        labels = np.array([[1, *[255] * width, 0]], np.uint8)
        dot = LabelObject(1, (0, 0, 1, 1), np.ones((1, 1), bool))
        assert border_classes(dot, labels, 2).tolist() == found


def test_near_borders_ignores_ignored_pixels():
    labels = np.array([[0, 0, 255, 0, 1, 1, 1]], np.uint8)
    assert near_borders(labels, 1).astype(int).tolist() == [[0, 0, 0, 1, 1, 0, 0]]
    assert near_borders(labels, 3).astype(int).tolist() == [[0, 1, 0, 1, 1, 1, 1]]
    assert not near_borders(np.full((3, 3), 255, np.uint8), 1).any()
