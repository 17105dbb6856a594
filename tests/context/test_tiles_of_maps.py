"""Summaries of tiles: empty ones, lengths of whole maps, and summaries as tensors."""

import pytest
import torch

from lookwider.context import GlobalContext, NoContext, PyramidContext
from lookwider.context.contract import EmptySummary
from lookwider.context.regions import summarise_regions
from lookwider.context.saving import summary_from_tensors, summary_tensors
from lookwider.errors import LookwiderError
from lookwider.layers.region_sums import Place


@pytest.mark.parametrize("pooling", ["average", "max"])
@pytest.mark.parametrize("last", [False, True])
def test_a_tile_without_a_cell_changes_nothing(pooling, last):
    maps = torch.randn(1, 3, 7, 5)
    if last:
        maps = maps.to(memory_format=torch.channels_last)
    whole = summarise_regions(maps, (1, 3), pooling)
    empty = summarise_regions(maps[:, :, 3:3], (1, 3), pooling, Place(3, 0, 7, 5))
    for before, after in zip(whole.pooled(), whole.merge(empty).pooled(), strict=True):
        assert torch.equal(before, after)


def test_tiles_are_divided_by_the_length_of_the_whole_map():
    context = GlobalContext((4,), (0,), (0,), across_spatial=True).eval()
    maps = torch.randn(2, 4, 6, 5)
    wanted = context.fuse((maps,), context.summarise((maps,)))
    places = [Place(0, 0, 6, 5), Place(2, 0, 6, 5)]
    tiles = [maps[:, :, :2], maps[:, :, 2:]]
    first, second = (context.summarise((t,), [p]) for t, p in zip(tiles, places, strict=True))
    summary = first.merge(second)
    found = [context.fuse((t,), summary, [p]) for t, p in zip(tiles, places, strict=True)]
    torch.testing.assert_close(torch.cat([maps[0] * 1 for maps in found], 2), wanted[0] * 1)
    torch.testing.assert_close(found[0][1], wanted[1])
    with pytest.raises(
        LookwiderError, match="got a summary of 0 lengths of whole maps, expected 1"
    ):
        context.fuse((tiles[0],), context.summarise((maps,)), places[:1])


def test_summaries_without_anything_are_empty():
    maps = (torch.randn(1, 4, 6, 5),)
    assert NoContext((4,)).summarise(maps).is_empty
    assert PyramidContext((4,), ()).summarise(maps).is_empty
    assert GlobalContext((4,), (0,), ()).summarise(maps).is_empty
    assert not PyramidContext((4,), (1,)).summarise(maps).is_empty
    empty = EmptySummary()
    assert empty.to("cpu", torch.float64).merge(empty).is_empty


def test_tensors_that_are_no_summary_are_refused():
    assert isinstance(summary_from_tensors({}), EmptySummary)
    tensors = summary_tensors(summarise_regions(torch.ones(1, 2, 4, 4), (1, 2), "max"))
    found = summary_from_tensors(tensors)
    assert (found.pooling, found.sizes) == ("max", ((4, 4), (4, 4)))
    del tensors["seen.1"]
    with pytest.raises(LookwiderError, match=r"got the tensors counts\.0, .* summarise the image"):
        summary_from_tensors(tensors)
