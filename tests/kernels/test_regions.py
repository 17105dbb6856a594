"""Regions in one pass against adaptive pooling and against the plain sums and maxima."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from lookwider.context.regions import summarise_regions
from lookwider.kernels.regions import region_maxima_in_one_pass, region_sums_in_one_pass
from lookwider.kernels.switches import without
from lookwider.layers.region_sums import Place, region_counts, region_maxima, region_sums

BINS = (1, 2, 3, 6)
SIDES = st.integers(1, 20)
CHANNELS_LAST = torch.channels_last


@given(SIDES, SIDES, st.lists(st.integers(1, 8), min_size=1, max_size=4), st.booleans())
@settings(max_examples=60, deadline=None)
def test_whole_maps_are_pooled_as_adaptive_pooling_does(height, width, bins, channels_last):
    torch.manual_seed(0)
    maps = torch.randn(2, 3, height, width, dtype=torch.float64)
    maps = maps.contiguous(memory_format=CHANNELS_LAST if channels_last else torch.preserve_format)
    place = Place.whole(maps)
    sums = region_sums_in_one_pass(maps, bins, place)
    maxima = region_maxima_in_one_pass(maps, bins, place)
    for count, total, most in zip(bins, sums, maxima, strict=True):
        averages = total / region_counts(place, (height, width), count)
        torch.testing.assert_close(averages, functional.adaptive_avg_pool2d(maps, count))
        assert torch.equal(most, functional.adaptive_max_pool2d(maps, count))


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_tiles_give_what_the_plain_forms_give(data):
    height, width = data.draw(st.tuples(SIDES, SIDES))
    top, left = data.draw(st.tuples(st.integers(0, height - 1), st.integers(0, width - 1)))
    tile = torch.randn(
        2, 3, data.draw(st.integers(1, height - top)), data.draw(st.integers(1, width - left))
    )
    place = Place(top, left, height, width)
    for got, expected in zip(
        region_sums_in_one_pass(tile, BINS, place), region_sums(tile, BINS, place), strict=True
    ):
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)
    for got, expected in zip(
        region_maxima_in_one_pass(tile, BINS, place), region_maxima(tile, BINS, place), strict=True
    ):
        assert torch.equal(got, expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_summed_in_float32_even_under_autocast(dtype):
    maps = torch.rand(1, 2, 61, 59, dtype=dtype).contiguous(memory_format=CHANNELS_LAST)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = region_sums_in_one_pass(maps, BINS, Place.whole(maps))
    for total, expected in zip(
        got, region_sums(maps.double(), BINS, Place.whole(maps)), strict=True
    ):
        assert total.dtype == torch.float32
        torch.testing.assert_close(total.double(), expected, rtol=1e-6, atol=0)


def test_gradients_of_sums_are_those_of_finite_differences():
    maps = torch.randn(1, 2, 5, 7, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda maps: region_sums_in_one_pass(maps, (1, 3), Place.whole(maps)), maps
    )


@pytest.mark.parametrize("pooling", ["average", "max"])
@pytest.mark.parametrize("memory_format", [CHANNELS_LAST, torch.contiguous_format])
def test_summaries_are_the_same_without_the_fast_path(pooling, memory_format):
    maps = torch.randn(2, 3, 9, 10, dtype=torch.float64).contiguous(memory_format=memory_format)
    fast = summarise_regions(maps, BINS, pooling)
    with without("regions"):
        plain = summarise_regions(maps, BINS, pooling)
    for got, expected in zip(fast.pooled(), plain.pooled(), strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12)


def test_gradients_of_maxima_are_shared_by_all_cells_that_reach_them():
    maps = torch.zeros(1, 1, 2, 6, requires_grad=True)
    (most,) = summarise_regions(maps, (1,), "max").pooled()
    most.sum().backward()
    torch.testing.assert_close(maps.grad, torch.full((1, 1, 2, 6), 1 / 12))
