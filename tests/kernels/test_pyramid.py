"""The convolution of a pyramid against that of the concatenation, values and gradients."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from lookwider.kernels.pyramid import (
    PyramidParts,
    Spread,
    add_grids,
    convolved_grids,
    tap_weights,
)
from lookwider.layers.deferred import Window
from lookwider.layers.region_sums import Place

SAME = Window((3, 3), padding=(1, 1))


def parts_of(size, bins=(1, 2, 3, 6), *, alignment="aligned", place=None, dtype=torch.float64):
    torch.manual_seed(0)
    maps = torch.randn(2, 5, *size, dtype=dtype)
    grids = tuple(torch.randn(2, 2 + i, b, b, dtype=dtype) for i, b in enumerate(bins))
    place = Place.whole(maps) if place is None else place
    parts = PyramidParts(maps, grids, Spread.onto(maps, place, alignment))
    return parts, sum(g.shape[1] for g in grids) + 5


def by_interpolation(parts, weight, bias, window):
    """Upsample by PyTorch, concatenate and convolve: for whole maps."""
    size, aligned = parts.maps.shape[-2:], parts.spread.alignment == "aligned"
    spread = [
        functional.interpolate(grid, size, mode="bilinear", align_corners=aligned)
        for grid in parts.grids
    ]
    return convolution(torch.cat([parts.maps, *spread], dim=1), weight, bias, window)


def convolution(maps, weight, bias, window):
    return functional.conv2d(maps, weight, bias, window.stride, window.padding, window.dilation)


@st.composite
def windows(draw, height, width):
    """A window that fits a map."""
    pair = st.tuples
    kernel = draw(pair(st.integers(1, 4), st.integers(1, 4)))
    dilation = draw(pair(st.integers(1, 2), st.integers(1, 2)))
    reach = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    least = [max(0, -(-(r - n) // 2)) for r, n in zip(reach, (height, width), strict=True)]
    padding = tuple(low + draw(st.integers(0, 2)) for low in least)
    return Window(kernel, draw(pair(st.integers(1, 3), st.integers(1, 3))), padding, dilation)


@given(st.data(), st.sampled_from(["aligned", "half_pixel"]))
@settings(max_examples=60, deadline=None)
def test_any_window_on_any_map_is_the_convolution_of_the_concatenation(data, alignment):
    size = data.draw(st.tuples(st.integers(1, 14), st.integers(1, 14)))
    bins = data.draw(st.lists(st.integers(1, 7), min_size=1, max_size=4))
    window = data.draw(windows(*size))
    parts, channels = parts_of(size, bins, alignment=alignment)
    weight = torch.randn(4, channels, *window.kernel, dtype=torch.float64)
    bias = torch.randn(4, dtype=torch.float64) if data.draw(st.booleans()) else None
    if data.draw(st.booleans()):
        weight = weight.contiguous(memory_format=torch.channels_last)
    expected = by_interpolation(parts, weight, bias, window)
    for recorded in (True, False):  # out of place, in place
        with torch.set_grad_enabled(recorded):
            got = parts.convolved(weight, bias, window)
        torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12)


@given(st.data())
@settings(max_examples=30, deadline=None)
def test_a_tile_is_padded_at_its_own_border(data):
    height, width = data.draw(st.tuples(st.integers(2, 12), st.integers(2, 12)))
    top, left = data.draw(st.tuples(st.integers(0, height - 1), st.integers(0, width - 1)))
    size = (data.draw(st.integers(1, height - top)), data.draw(st.integers(1, width - left)))
    parts, channels = parts_of(size, place=Place(top, left, height, width))
    weight = torch.randn(4, channels, 3, 3, dtype=torch.float64)
    whole = [
        functional.interpolate(grid, (height, width), mode="bilinear", align_corners=True)
        for grid in parts.grids
    ]
    tile = [grid[..., top : top + size[0], left : left + size[1]] for grid in whole]
    expected = convolution(torch.cat([parts.maps, *tile], 1), weight, None, SAME)
    got = parts.convolved(weight, None, SAME)
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(parts.put_together()[:, 5:], torch.cat(tile, dim=1))


@pytest.mark.parametrize("alignment", ["aligned", "half_pixel"])
@pytest.mark.parametrize(
    ("dtype", "value_error", "gradient_error"),
    [(torch.float32, 1e-6, 1e-5), (torch.float64, 1e-12, 1e-12)],
)
def test_values_and_all_gradients_are_those_of_the_concatenation(
    alignment, dtype, value_error, gradient_error
):
    parts, channels = parts_of((9, 11), alignment=alignment, dtype=dtype)
    weight = torch.randn(4, channels, 3, 3, dtype=dtype)
    bias = torch.randn(4, dtype=dtype)
    inputs = [t.requires_grad_() for t in (parts.maps, *parts.grids, weight, bias)]
    forms = parts.convolved(weight, bias, SAME), by_interpolation(parts, weight, bias, SAME)
    most = float(forms[1].detach().abs().max())
    torch.testing.assert_close(*forms, rtol=0, atol=value_error * most)
    upstream = torch.randn_like(forms[0])
    got, expected = (torch.autograd.grad(form, inputs, upstream) for form in forms)
    for one, other in zip(got, expected, strict=True):
        most = float(other.abs().max())
        torch.testing.assert_close(one, other, rtol=0, atol=gradient_error * most)


def test_first_and_second_gradients_are_those_of_finite_differences():
    parts, channels = parts_of((3, 4), bins=(1, 2))
    weight = torch.randn(2, channels, 3, 3, dtype=torch.float64, requires_grad=True)

    def convolved(maps, one, two, weight):
        return PyramidParts(maps, (one, two), parts.spread).convolved(weight, None, SAME)

    inputs = (parts.maps.requires_grad_(), *(g.requires_grad_() for g in parts.grids), weight)
    assert torch.autograd.gradcheck(convolved, inputs, fast_mode=True)
    assert torch.autograd.gradgradcheck(convolved, inputs, fast_mode=True)


def test_prepared_weights_give_the_same():
    parts, channels = parts_of((8, 6))
    weight, bias = torch.randn(4, channels, 3, 3).double(), torch.randn(4).double()
    own, *shares = weight.split([5, *(g.shape[1] for g in parts.grids)], dim=1)
    taps = [tap_weights(share).contiguous() for share in shares]
    alone = convolved_grids(parts.grids, taps, parts.spread, SAME)
    assert alone.is_contiguous(memory_format=torch.channels_last)
    expected = by_interpolation(parts, weight, bias, SAME)
    own_part = convolution(parts.maps, own, bias, SAME)
    torch.testing.assert_close(alone + own_part, expected, rtol=1e-12, atol=1e-12)
    got = add_grids(own_part, parts.grids, taps, parts.spread, SAME)
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12)


def test_without_gradients_a_channels_last_map_is_added_to_in_place():
    parts, channels = parts_of((8, 6))
    weight = torch.randn(4, channels, 3, 3).double()
    taps = [tap_weights(share) for share in weight[:, 5:].split([2, 3, 4, 5], dim=1)]
    own = torch.zeros(2, 4, 8, 6).double().contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        total = add_grids(own, parts.grids, taps, parts.spread, SAME)
    assert total.data_ptr() == own.data_ptr()
    half = convolved_grids(
        [g.bfloat16() for g in parts.grids], [t.bfloat16() for t in taps], parts.spread, SAME
    )
    assert half.dtype == torch.bfloat16


def test_bfloat16_errs_less_than_the_concatenation():
    exact, channels = parts_of((20, 20))
    weight = torch.randn(16, channels, 3, 3, dtype=torch.float64)
    maps, grids = exact.maps.bfloat16(), tuple(grid.bfloat16() for grid in exact.grids)
    rounded = PyramidParts(maps, grids, exact.spread)
    widened = PyramidParts(maps.double(), tuple(g.double() for g in grids), exact.spread)
    expected = widened.convolved(weight.bfloat16().double(), None, SAME)
    plain = convolution(rounded.put_together(), weight.bfloat16(), None, SAME)
    fast = rounded.convolved(weight.bfloat16(), None, SAME)
    assert fast.dtype == torch.bfloat16
    plain_error, error = ((form - expected).square().mean().sqrt() for form in (plain, fast))
    assert error < plain_error


def test_what_is_kept_in_inference_mode_serves_training():
    parts, channels = parts_of((7, 13))
    weight = torch.randn(4, channels, 3, 3, dtype=torch.float64)
    with torch.inference_mode():
        parts.convolved(weight, None, SAME)
    parts.convolved(weight.requires_grad_(), None, SAME).sum().backward()
    assert weight.grad is not None
