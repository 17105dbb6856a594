"""Run lengths and polygons hold exactly the pixels that they were made of."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lookwider.web.shapes import Runs, polygons, simplified

MASKS = arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12)))


def decode(counts, size):
    """Read COCO's run lengths: the slow and obvious way."""
    flat, inside = [], False
    for count in counts:
        flat += [inside] * count
        inside = not inside
    return np.array(flat).reshape(size[1], size[0]).T


def rasterise(areas, size):
    """Colour the pixels whose centre is inside of an odd number of rings, edge by edge."""
    mask = np.zeros(size, bool)
    for row, col in np.ndindex(*size):
        x, y = col + 0.5, row + 0.5
        for ring in (ring for rings in areas for ring in rings):
            for (x1, y1), (x2, y2) in itertools.pairwise(ring):
                if (y1 > y) != (y2 > y) and x < x1 + (y - y1) / (y2 - y1) * (x2 - x1):
                    mask[row, col] ^= True
    return mask


@settings(deadline=None, max_examples=60)
@given(mask=MASKS)
def test_run_lengths_decode_to_the_mask(mask):
    runs = Runs.of(mask.astype(np.uint8) * 7)
    for label, expected in ((7, mask), (0, ~mask)):
        counts = runs.counts(label)
        np.testing.assert_array_equal(decode(counts, mask.shape), expected)
        assert (counts[1:] > 0).all()


def test_run_lengths_of_a_class_that_is_nowhere():
    assert Runs.of(np.zeros((2, 3), np.uint8)).counts(1).tolist() == [6]


@settings(deadline=None, max_examples=60)
@given(mask=MASKS)
def test_polygons_rasterise_to_the_mask(mask):
    np.testing.assert_array_equal(rasterise(polygons(mask), mask.shape), mask)


def test_rings_are_closed_and_holes_come_after_their_outer_ring():
    mask = np.ones((5, 6), bool)
    mask[2, 2:4] = False
    [[outer, hole]] = polygons(mask)
    assert (outer[0] == outer[-1]).all()
    assert outer.max(0).tolist() == [6, 5]
    assert hole.min(0).tolist() == [2, 2]
    assert hole.max(0).tolist() == [4, 3]


def test_straight_edges_have_no_points_between():
    [[ring]] = polygons(np.ones((40, 30), bool))
    assert len(ring) == 9  # eight corners, each pixel corner cut


@pytest.mark.parametrize("tolerance", [0.5, 1.0, 3.0])
def test_simplified_rings_stay_within_the_tolerance(tolerance):
    rows, cols = np.mgrid[:60, :80]
    mask = (rows - 30) ** 2 + 0.6 * (cols - 40) ** 2 < 500
    [[exact]], [[fewer]] = polygons(mask), polygons(mask, tolerance)
    assert len(fewer) < 0.6 * len(exact)
    assert {tuple(point) for point in fewer} <= {tuple(point) for point in exact}
    for point in exact:
        assert min(distance(point, a, b) for a, b in itertools.pairwise(fewer)) <= (
            tolerance + 1e-9
        )


def distance(point, start, stop):
    """Return how far a point is from a line between two others, tried at many places."""
    places = start + np.linspace(0, 1, 2001)[:, None] * (stop - start)
    return np.linalg.norm(places - point, axis=1).min() - 0.01


def test_areas_smaller_than_the_tolerance_vanish():
    mask = np.zeros((20, 20), bool)
    mask[3, 3], mask[8:18, 8:18] = True, True
    assert len(polygons(mask)) == 2
    assert len(polygons(mask, 2.0)) == 1


def test_a_triangle_is_not_simplified_further():
    ring = np.array([[0, 0], [8, 0], [0, 8], [0, 0]], np.float64)
    np.testing.assert_array_equal(simplified(ring, 100.0), ring)
