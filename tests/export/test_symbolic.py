"""The graph's taps and regions are those of the library, for every size."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch.nn import functional

from lookwider.export.symbolic import GraphTaps, Regions, region_averages, region_maxima, resample
from lookwider.layers import taps
from lookwider.layers.taps import Taps

LENGTHS, SIZES = (1, 2, 3, 7, 12), (1, 2, 5, 24, 31)


def same(graph: GraphTaps, wanted: Taps) -> None:
    """Compare the matrices: which of two places has weight 1 and which 0 is free."""
    rows = torch.arange(len(wanted))
    matrix = torch.zeros(len(wanted), wanted.length)
    matrix[rows, graph.low] += graph.low_weight
    matrix[rows, graph.high] += graph.high_weight
    assert torch.allclose(matrix, wanted.matrix().float(), rtol=0, atol=1e-6)


@pytest.mark.parametrize(("length", "size"), [*itertools.product(LENGTHS, SIZES)])
def test_interpolations(length, size):
    same(GraphTaps.aligned(length, size), Taps.aligned(length, size))
    same(GraphTaps.half_pixel(length, size), Taps.half_pixel(length, size))
    for stride, offset in ((8, 3.5), (2, 0), (0.5, 0.25), (4, -19.5), (1.5, 0.75)):
        graph = GraphTaps.centred(length, size, stride, offset)
        same(graph, Taps.centred(length, size, stride, offset))


@pytest.mark.parametrize(("kernel", "stride"), [(4, 2), (3, 2), (16, 8), (15, 8), (1, 1), (2, 4)])
def test_deconvolutions(kernel, stride):
    for length, crop in itertools.product(LENGTHS, (0, 1, 5)):
        full = (length - 1) * stride + kernel
        for size in {1, full // 2, full - crop}:
            if 0 < size <= full - crop:
                graph = GraphTaps.deconvolution(length, size, kernel, stride, crop)
                same(graph, Taps.deconvolution(length, kernel, stride, crop, size))


def test_resampling_is_the_library_s():
    maps = torch.randn(2, 3, 5, 7)
    got = resample(maps, GraphTaps.aligned(5, 11), GraphTaps.half_pixel(7, 9))
    wanted = taps.resample(maps, Taps.aligned(5, 11), Taps.half_pixel(7, 9))
    assert torch.allclose(got, wanted, atol=1e-6)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 9), (5, 4), (6, 12), (7, 13)])
@pytest.mark.parametrize("bins", [(1, 2, 3, 6), (4,), (6, 1)])
def test_regions_are_those_of_adaptive_pooling(height, width, bins):
    maps = torch.randn(2, 3, height, width)
    rows, cols = Regions(bins, height), Regions(bins, width)
    averages, maxima = region_averages(maps, rows, cols), region_maxima(maps, rows, cols)
    start = 0
    for count in bins:
        own = slice(start, start + count)
        wanted = functional.adaptive_avg_pool2d(maps, count)
        assert torch.allclose(averages[..., own, own], wanted, atol=1e-6)
        assert torch.equal(maxima[..., own, own], functional.adaptive_max_pool2d(maps, count))
        start += count


@pytest.mark.parametrize("length", [1, 2, 5, 12, 13])
def test_grids_spread_as_they_are_interpolated(length):
    bins = (1, 2, 3, 6)
    regions = Regions(bins, length)
    aligned, areas = regions.spread("aligned"), regions.spread("half_pixel")
    start = 0
    for count in bins:
        own = slice(start, start + count)
        for got, make in ((aligned, Taps.aligned), (areas, Taps.half_pixel)):
            wanted = make(count, length).matrix().T.float()
            assert torch.allclose(got[own], wanted, rtol=0, atol=1e-6)
        start += count
