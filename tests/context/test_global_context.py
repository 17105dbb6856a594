"""ParseNet's context: what it averages, and that summaries of tiles merge exactly."""

from __future__ import annotations

import pytest
import torch

from lookwider.context import GlobalContext
from lookwider.errors import LookwiderError
from lookwider.layers.region_sums import Place


def features():
    torch.manual_seed(0)
    return torch.randn(2, 3, 8, 6), torch.randn(2, 5, 4, 3)


def test_fused_are_the_local_maps_then_the_averages():
    fine, coarse = features()
    context = GlobalContext((3, 5), local=(1,), pooled=(0, 1), normalise=False, dropout=0.5).eval()
    fused = context.fuse((fine, coarse), context.summarise((fine, coarse)))
    assert context.channels == (5, 3, 5)
    assert [tuple(maps.shape) for maps in fused] == [(2, 5, 4, 3), (2, 3, 1, 1), (2, 5, 1, 1)]
    torch.testing.assert_close(fused[1], fine.mean((-2, -1), keepdim=True))
    torch.testing.assert_close(fused[0], coarse, rtol=0, atol=0)


def test_every_fused_map_has_the_length_of_its_scale():
    maps = features()
    context = GlobalContext((3, 5), local=(0, 1), pooled=(1,), scale=20.0).eval()
    for fused in context.fuse(maps, context.summarise(maps)):
        torch.testing.assert_close(fused.norm(dim=1), torch.full_like(fused[:, 0], 20.0))


def test_dropout_is_on_the_averages_alone():
    maps = features()
    context = GlobalContext((3, 5), local=(1,), pooled=(1,), dropout=0.99).train()
    local, average = context.fuse(maps, context.summarise(maps))
    assert (local == 0).sum() == 0
    assert (average == 0).sum() > 0


def test_summaries_of_tiles_merge_into_the_images():
    maps = features()
    context = GlobalContext((3, 5), local=(1,), pooled=(0, 1)).eval()
    places = [Place(0, 0, 8, 6), Place(0, 0, 4, 3)]
    upper = context.summarise((maps[0][..., :6, :], maps[1][..., :3, :]), places)
    places = [Place(6, 0, 8, 6), Place(3, 0, 4, 3)]
    lower = context.summarise((maps[0][..., 6:, :], maps[1][..., 3:, :]), places)
    merged, whole = upper.merge(lower), context.summarise(maps)
    for got, expected in zip(merged.pooled(), whole.pooled(), strict=True):
        torch.testing.assert_close(got, expected)


def test_parts_of_different_images_do_not_merge():
    context = GlobalContext((3,), local=(0,), pooled=(0,))
    one, other = (context.summarise((torch.zeros(1, 3, n, n),)) for n in (4, 5))
    with pytest.raises(LookwiderError, match="merge tiles of one image"):
        one.merge(other)
    with pytest.raises(LookwiderError, match="expected one per map: 1"):
        context.summarise((torch.zeros(1, 3, 4, 4),), [Place(0, 0, 4, 4)] * 2)
