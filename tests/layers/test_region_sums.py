"""Sums and maxima of regions against adaptive pooling, of whole maps and of tiles."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from lookwider.errors import LookwiderError
from lookwider.layers.region_sums import (
    Place,
    check_place,
    region_bounds,
    region_counts,
    region_maxima,
    region_sums,
)

BINS = (1, 2, 3, 6)


@pytest.mark.parametrize("size", [(1, 1), (2, 5), (6, 6), (7, 13), (25, 20), (60, 60)])
def test_averages_and_maxima_are_adaptive_pooling_for_any_size(size):
    torch.manual_seed(0)
    maps = torch.randn(2, 3, *size, dtype=torch.float64)
    place = Place.whole(maps)
    for count, sums, maxima in zip(
        BINS, region_sums(maps, BINS, place), region_maxima(maps, BINS, place), strict=True
    ):
        averages = sums / region_counts(place, size, count)
        torch.testing.assert_close(averages, functional.adaptive_avg_pool2d(maps, count))
        torch.testing.assert_close(maxima, functional.adaptive_max_pool2d(maps, count))


def test_gradients_are_those_of_adaptive_pooling():
    maps = torch.randn(1, 2, 7, 11, dtype=torch.float64, requires_grad=True)
    place = Place.whole(maps)
    weights = torch.randn(1, 2, 3, 3, dtype=torch.float64)
    averages = region_sums(maps, (3,), place)[0] / region_counts(place, (7, 11), 3)
    (got,) = torch.autograd.grad((averages * weights).sum(), maps)
    (expected,) = torch.autograd.grad(
        (functional.adaptive_avg_pool2d(maps, 3) * weights).sum(), maps
    )
    torch.testing.assert_close(got, expected)


def test_tiles_add_up_to_the_whole():
    maps = torch.randn(1, 2, 11, 9, dtype=torch.float64)
    sums = [torch.zeros(1, 2, b, b, dtype=torch.float64) for b in BINS]
    maxima = [torch.full_like(s, -torch.inf) for s in sums]
    for top, bottom in ((0, 4), (4, 5), (5, 11)):
        for left, right in ((0, 7), (7, 9)):
            tile, place = maps[..., top:bottom, left:right], Place(top, left, 11, 9)
            sums = [a + b for a, b in zip(sums, region_sums(tile, BINS, place), strict=True)]
            parts = region_maxima(tile, BINS, place)
            maxima = [torch.maximum(a, b) for a, b in zip(maxima, parts, strict=True)]
    whole = Place.whole(maps)
    for got, expected in zip(sums, region_sums(maps, BINS, whole), strict=True):
        torch.testing.assert_close(got, expected)
    for got, expected in zip(maxima, region_maxima(maps, BINS, whole), strict=True):
        torch.testing.assert_close(got, expected, rtol=0, atol=0)


def test_bfloat16_maps_are_summed_in_float32():
    maps = torch.ones(1, 1, 64, 64, dtype=torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        (sums,) = region_sums(maps + 0.0078125, (1,), Place.whole(maps))
    assert sums.dtype == torch.float32
    assert sums.item() == 64 * 64 * 1.0078125


def test_a_tile_outside_the_map_is_refused():
    with pytest.raises(LookwiderError, match="expected one inside the map of 4x4"):
        check_place(torch.zeros(1, 1, 3, 3), Place(2, 0, 4, 4))


def test_regions_overlap_as_adaptive_pooling_has_them():
    assert region_bounds(4, 3) == [(0, 2), (1, 3), (2, 4)]
