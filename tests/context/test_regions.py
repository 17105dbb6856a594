"""Summaries that are given other averages or maxima."""

import pytest
import torch

from lookwider.context import GlobalContext, PyramidContext
from lookwider.context.regions import summarise_regions
from lookwider.errors import LookwiderError


@pytest.mark.parametrize("pooling", ["average", "max"])
def test_a_summary_gives_back_the_very_values_it_was_given(pooling):
    own = summarise_regions(torch.randn(1, 3, 7, 5), (1, 2, 3), pooling)
    other = summarise_regions(torch.randn(1, 3, 4, 9), (1, 2, 3), pooling)
    swapped = own.with_pooled(other.pooled())
    assert swapped.sizes == own.sizes
    for ours, theirs in zip(swapped.pooled(), other.pooled(), strict=True):
        assert torch.equal(ours, theirs)
    for before, after in zip(own.pooled(), own.with_pooled(own.pooled()).pooled(), strict=True):
        assert torch.equal(before, after)


def test_values_of_another_context_are_refused():
    own = summarise_regions(torch.randn(1, 3, 7, 5), (1, 2), "average")
    other = summarise_regions(torch.randn(1, 3, 7, 5), (1, 3), "average")
    with pytest.raises(LookwiderError, match=r"got averages .* \[\(1, 3, 1, 1\), \(1, 3, 3, 3\)\]"):
        own.with_pooled(other.pooled())
    with pytest.raises(LookwiderError, match="from the same model's summary of as many images"):
        own.with_pooled([])


def test_contexts_say_which_map_each_grid_is_of():
    features = (torch.zeros(1, 2, 4, 4), torch.ones(1, 3, 2, 2))
    assert GlobalContext((2, 3), (1,), (0, 1)).pooled_maps(features) == features
    assert PyramidContext((2, 3), (1, 2)).pooled_maps(features) == (features[1], features[1])
