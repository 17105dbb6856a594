"""The fused operators against PyTorch's convolution, addition and ReLU."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from lookwider.kernels import mkldnn
from lookwider.kernels.switches import without
from lookwider.layers.deferred import Window


@pytest.fixture
def unknown():
    """Forget what is known of the operators, before and after."""
    mkldnn._works.cache_clear()
    yield
    mkldnn._works.cache_clear()


@settings(deadline=None, max_examples=30)
@given(
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    side=st.sampled_from([1, 3]),
    dilation=st.sampled_from([1, 2]),
    relu=st.booleans(),
    add=st.booleans(),
    packed=st.booleans(),
)
def test_equals_the_plain_form(size, side, dilation, relu, add, packed):
    if not mkldnn.mkldnn_enabled(torch.float32):
        return
    padding = dilation * (side // 2)
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(2, 3, *size, generator=generator).to(memory_format=torch.channels_last)
    weight, bias = torch.randn(5, 3, side, side, generator=generator), torch.randn(5)
    window = Window((side, side), padding=(padding,) * 2, dilation=(dilation,) * 2)
    wanted = functional.conv2d(maps, weight, bias, padding=padding, dilation=dilation)
    residual = torch.randn(wanted.shape).to(memory_format=torch.channels_last) if add else None
    given_weight = mkldnn.packed_weight(weight, window, 1, maps.shape) if packed else weight
    found = mkldnn.fused_convolution(maps, given_weight, bias, window, add=residual, relu=relu)
    wanted = wanted if residual is None else wanted + residual
    torch.testing.assert_close(found, wanted.relu() if relu else wanted, rtol=1e-5, atol=1e-5)


def test_switch_and_dtypes():
    assert not mkldnn.mkldnn_enabled(torch.float64)
    with without("mkldnn"):
        assert not mkldnn.mkldnn_enabled(torch.float32)


@pytest.mark.usefixtures("unknown")
def test_missing_operators_are_noticed(monkeypatch):
    monkeypatch.delattr(torch._C._nn, "mkldnn_reorder_conv2d_weight")
    assert not mkldnn.mkldnn_enabled(torch.float32)


@pytest.mark.usefixtures("unknown")
def test_operators_that_compute_something_else_are_noticed(monkeypatch):
    monkeypatch.setattr(mkldnn, "fused_convolution", lambda maps, *_, **__: maps.new_zeros(1))
    assert not mkldnn.mkldnn_enabled(torch.float32)
