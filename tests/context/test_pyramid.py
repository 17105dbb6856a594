"""PSPNet's context against the obvious pooling, and tiles against the whole image."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from lookwider.context import PyramidContext
from lookwider.errors import LookwiderError
from lookwider.layers.region_sums import Place

BINS = (1, 2, 3, 6)


@pytest.mark.parametrize("pooling", ["average", "max"])
@pytest.mark.parametrize("alignment", ["aligned", "half_pixel"])
@pytest.mark.parametrize("reduce", [True, False])
def test_fused_is_the_concatenation_of_the_paper(pooling, alignment, reduce):
    torch.manual_seed(0)
    maps = torch.randn(2, 8, 7, 10)
    context = PyramidContext((4, 8), BINS, pooling=pooling, reduce=reduce, alignment=alignment)
    context.eval()
    pool = {"average": functional.adaptive_avg_pool2d, "max": functional.adaptive_max_pool2d}
    parts = [maps]
    for count, branch in zip(BINS, context.branches, strict=True):
        grid = branch(pool[pooling](maps, count))
        aligned = alignment == "aligned"
        parts.append(
            functional.interpolate(grid, size=(7, 10), mode="bilinear", align_corners=aligned)
        )
    other = torch.randn(2, 4, 7, 10)
    with torch.no_grad():
        passed, fused = context.fuse((other, maps), context.summarise((other, maps)))
    assert passed is other
    assert fused.shape[1] == context.channels[-1] == (16 if reduce else 40)
    torch.testing.assert_close(fused, torch.cat(parts, dim=1), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("pooling", ["average", "max"])
def test_tiles_with_the_merged_summary_give_the_whole_images_context(pooling):
    torch.manual_seed(0)
    maps = torch.randn(1, 8, 11, 9)
    context = PyramidContext((8,), BINS, pooling=pooling).eval()
    tiles = [
        (maps[..., top:bottom, left:right], Place(top, left, 11, 9))
        for top, bottom in ((0, 4), (4, 11))
        for left, right in ((0, 5), (5, 9))
    ]
    summaries = [context.summarise((tile,), [place]) for tile, place in tiles]
    merged = summaries[0].merge(summaries[1]).merge(summaries[2]).merge(summaries[3])
    with torch.no_grad():
        (whole,) = context.fuse((maps,), context.summarise((maps,)))
        for tile, place in tiles:
            (fused,) = context.fuse((tile,), merged, [place])
            height, width = tile.shape[-2:]
            expected = whole[..., place.top : place.top + height, place.left : place.left + width]
            torch.testing.assert_close(fused, expected, rtol=1e-5, atol=1e-5)


def test_without_bins_nothing_changes():
    context = PyramidContext((8,), ())
    maps = (torch.randn(1, 8, 3, 3),)
    assert context.channels == (8,)
    assert context.fuse(maps, context.summarise(maps)) is maps


def test_maxima_and_averages_do_not_merge():
    maps = (torch.randn(1, 8, 3, 3),)
    average, maximum = (
        PyramidContext((8,), BINS, pooling=pooling).summarise(maps)
        for pooling in ("average", "max")
    )
    with pytest.raises(LookwiderError, match="cannot merge a summary of max"):
        average.merge(maximum)


@pytest.mark.parametrize(
    ("norm", "bins", "needs"),
    [
        ("batch", BINS, True),
        ("batch", (2, 3), False),
        ("group", BINS, False),
    ],
)
def test_which_pyramids_need_several_images(norm, bins, needs):
    assert PyramidContext((64,), bins, norm=norm).needs_several_images == needs


def test_a_missing_tile_and_one_merged_twice_are_found():
    maps = torch.randn(1, 8, 6, 6)
    context = PyramidContext((8,), BINS).eval()
    upper = context.summarise((maps[..., :3, :],), [Place(0, 0, 6, 6)])
    for wrong in (upper, upper.merge(upper)):
        with pytest.raises(LookwiderError, match="merge every tile of the image exactly once"):
            context.fuse((maps,), wrong)
    with pytest.raises(LookwiderError, match="expected one per map: 1"):
        context.summarise((maps,), [])
