"""Winograd's convolutions against PyTorch's in float64."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from lookwider.kernels.switches import without
from lookwider.kernels.winograd import (
    winograd_convolution,
    winograd_enabled,
    winograd_pays,
    winograd_weight,
)


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def reference(maps, weight, bias, dilation, relu):
    wide = None if bias is None else bias.double()
    found = functional.conv2d(
        maps.double(), weight.double(), wide, padding=dilation, dilation=dilation
    )
    return found.relu() if relu else found


@settings(deadline=None, max_examples=30)
@given(
    sizes=st.tuples(st.integers(1, 2), st.integers(1, 70), st.integers(1, 70)),
    size=st.tuples(st.integers(1, 19), st.integers(1, 19)),
    dilation=st.sampled_from([1, 2, 4, 5]),
    relu=st.booleans(),
    biased=st.booleans(),
)
def test_equals_the_direct_convolution(sizes, size, dilation, relu, biased):
    count, channels, out_channels = sizes
    maps = drawn(count, channels, *size)
    weight = drawn(out_channels, channels, 3, 3, seed=1)
    bias = drawn(out_channels, seed=2) if biased else None
    found = winograd_convolution(maps, winograd_weight(weight), bias, dilation=dilation, relu=relu)
    wanted = reference(maps, weight, bias, dilation, relu)
    assert found.shape == wanted.shape
    most = (maps.abs().max() * weight.abs().sum((1, 2, 3)).max()).item()
    assert (found - wanted).abs().max().item() <= 2e-6 * most


def test_error_is_near_that_of_a_direct_convolution():
    maps, weight = drawn(1, 256, 24, 24).relu(), drawn(128, 256, 3, 3, seed=1) / 34
    wanted = reference(maps, weight, None, 1, relu=False)
    found = winograd_convolution(maps, winograd_weight(weight), None)
    assert ((found - wanted).abs().max() / wanted.abs().max()).item() < 5e-6


def test_is_the_same_with_any_number_of_threads():
    maps, weight = drawn(1, 5, 30, 40), winograd_weight(drawn(6, 5, 3, 3, seed=1))
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append(winograd_convolution(maps, weight, None, dilation=2))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def test_nan_stays_nan_behind_a_relu():
    maps = torch.full((1, 1, 5, 5), torch.nan)
    found = winograd_convolution(maps, winograd_weight(torch.ones(1, 1, 3, 3)), None, relu=True)
    assert found.isnan().all()


def test_is_left_out_where_it_does_not_pay():
    assert winograd_pays(torch.empty(1, 512, 60, 60), 512, 4)
    assert not winograd_pays(torch.empty(1, 64, 60, 60), 64, 1)
    assert not winograd_pays(torch.empty(1, 512, 3, 3), 512, 1)
    assert not winograd_pays(torch.empty(1, 512, 3, 200), 512, 4)


def test_needs_numba_and_the_switch():
    with without("winograd"):
        assert not winograd_enabled()
    with without("numba"):
        assert not winograd_enabled()
