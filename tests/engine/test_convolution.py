"""`FusedConv2d` against a convolution, an addition and a ReLU."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from lookwider.engine.convolution import FusedConv2d
from lookwider.kernels.pyramid import PyramidParts, Spread
from lookwider.kernels.switches import without
from lookwider.layers.deferred import DeferredMap
from lookwider.layers.region_sums import Place

NEAR = {torch.float32: 2e-5, torch.float64: 1e-12, torch.bfloat16: 3e-2}


def fused_of(convolution, **options):
    return FusedConv2d(convolution, convolution.weight, convolution.bias, **options)


def assert_near(found, wanted):
    near = NEAR[found.dtype] * float(wanted.abs().max().clamp_min(1))
    assert found.shape == wanted.shape
    assert float((found.double() - wanted.double()).abs().max()) <= near


@settings(deadline=None, max_examples=40)
@given(
    geometry=st.sampled_from(
        [
            (3, 8, 3, {"stride": 2, "padding": 1}),
            (16, 8, 1, {}),
            (8, 12, 3, {"padding": 2, "dilation": 2, "groups": 4}),
            (2048, 2, 3, {"padding": 1}),
            (5, 7, 3, {"padding": 4, "dilation": 4, "bias": False}),
            (4, 4, 5, {"padding": "same"}),
            (4, 4, 3, {"padding": 1, "padding_mode": "reflect"}),
        ]
    ),
    size=st.tuples(st.integers(2, 12), st.integers(2, 12)),
    dtype=st.sampled_from([torch.float32, torch.bfloat16, torch.float64]),
    relu=st.booleans(),
    add=st.booleans(),
    winograd=st.sampled_from([None, True, False]),
)
def test_equals_the_plain_form(geometry, size, dtype, relu, add, winograd):
    channels, out_channels, side, options = geometry
    torch.manual_seed(0)
    convolution = nn.Conv2d(channels, out_channels, side, **options).to(dtype)
    fast = fused_of(convolution, relu=relu, winograd=winograd)
    maps = torch.randn(2, channels, *size, dtype=dtype)
    with torch.inference_mode():
        wanted = convolution(maps)
        residual = torch.randn(wanted.shape, dtype=dtype) if add else None
        wanted = wanted if residual is None else wanted + residual
        wanted = wanted.relu() if relu else wanted
        for _ in range(3):  # as it is, then packed
            assert_near(fast(maps, residual), wanted)
        with without("mkldnn", "winograd"):
            assert_near(fast(maps, residual), wanted)
        with without():
            assert_near(fast(maps, residual), wanted)


def test_residual_of_another_shape_is_spread():
    convolution = nn.Conv2d(3, 4, 1)
    maps, residual = torch.randn(1, 3, 5, 5), torch.randn(1, 4, 1, 1)
    with torch.no_grad():
        assert_near(fused_of(convolution)(maps, residual), convolution(maps) + residual)


def test_gradients_reach_the_image():
    convolution = nn.Conv2d(3, 4, 3, padding=1).double()
    fast = fused_of(convolution, relu=True)
    assert torch.autograd.gradcheck(
        fast, torch.randn(1, 3, 4, 4, dtype=torch.float64).requires_grad_()
    )
    maps = torch.randn(1, 3, 4, 4, requires_grad=True)
    assert fused_of(nn.Conv2d(3, 4, 3))(maps).requires_grad


@pytest.mark.parametrize("again", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_prepare_anew(again):
    convolution = nn.Conv2d(8, 8, 3, padding=1)
    fast = fused_of(convolution, winograd=True)
    maps = torch.randn(1, 8, 9, 9)
    with torch.inference_mode():
        wanted = [fast(maps) for _ in range(2)][1]
        copied = again(fast)
        assert copied._prepared is None
        assert torch.equal(copied(maps), wanted)


def test_a_conversion_prepares_anew():
    convolution = nn.Conv2d(4, 4, 3, padding=1)
    fast, maps = fused_of(convolution), torch.randn(1, 4, 5, 5)
    with torch.inference_mode():
        fast(maps), fast(maps)
        assert fast._prepared.packed is not None
        wide = copy.deepcopy(convolution).double()
        assert_near(fast.double()(maps.double()), wide(maps.double()))


CHANGES = {
    "in place": lambda conv: [p.mul_(-0.5) for p in conv.parameters()],
    "loaded": lambda conv: conv.load_state_dict(
        {k: -0.5 * v for k, v in conv.state_dict().items()}
    ),
    "assigned": lambda conv: conv.load_state_dict(
        {k: -0.5 * v for k, v in conv.state_dict().items()}, assign=True
    ),
    "the bias alone": lambda conv: conv.bias.add_(1),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("winograd", [True, False])
@pytest.mark.parametrize("inference", [True, False])
def test_changed_weights_are_prepared_anew(change, winograd, inference):
    convolution = nn.Conv2d(8, 8, 3, padding=1)
    fast, maps = fused_of(convolution, winograd=winograd), torch.randn(1, 8, 9, 9)
    with torch.inference_mode(inference):
        for _ in range(3):
            fast(maps)
        before = fast._prepared
        fast(maps)
        assert fast._prepared is before
    with torch.no_grad():
        CHANGES[change](fast)
    convolution.weight, convolution.bias = fast.weight, fast.bias
    with torch.inference_mode(inference):
        for _ in range(3):
            assert_near(fast(maps), convolution(maps))


@pytest.mark.filterwarnings("ignore:`torch.jit.*is deprecated")  # which PyTorch itself uses
@pytest.mark.parametrize("winograd", [True, False])
def test_derivatives_are_those_of_the_plain_form(winograd):
    convolution = nn.Conv2d(8, 8, 3, padding=1)
    fast, maps = fused_of(convolution, winograd=winograd), torch.randn(1, 8, 9, 9)
    convolution.requires_grad_(False)
    with torch.no_grad():
        wanted = fast(maps)
    direction = torch.randn_like(maps)
    found, slope = torch.func.jvp(fast, (maps,), (direction,))
    assert_near(found, wanted)
    assert_near(slope, torch.func.jvp(convolution, (maps,), (direction,))[1])
    assert_near(torch.func.vmap(fast)(torch.stack([maps] * 2))[1], wanted)
    with torch.autograd.forward_ad.dual_level():
        dual = fast(torch.autograd.forward_ad.make_dual(maps, direction))
        assert_near(torch.autograd.forward_ad.unpack_dual(dual).tangent, slope)
    traced = torch.jit.trace(fast, maps)
    assert_near(traced(direction), convolution(direction).detach())
    for part in (fast, convolution):
        part.requires_grad_()
    fast(maps).square().sum().backward()
    convolution(maps).square().sum().backward()
    assert_near(fast.weight.grad, convolution.weight.grad)
    assert_near(fast.bias.grad, convolution.bias.grad)


def test_eight_threads_give_the_same():
    torch.manual_seed(0)
    convolution = nn.Conv2d(16, 16, 3, padding=1)
    maps = [torch.randn(1, 16, 6 + i % 3, 9) for i in range(32)]
    for winograd in (True, False):
        fast = fused_of(convolution, relu=True, winograd=winograd)

        def run(given, fast=fast):
            with torch.inference_mode():
                return fast(given)

        alone = [run(m) for m in maps]
        fast.forget_prepared()
        with ThreadPoolExecutor(8) as pool:
            together = list(pool.map(run, maps))
        for a, b in zip(alone, together, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("add", [False, True])
def test_pyramid_is_convolved_from_its_parts(add):
    torch.manual_seed(0)
    maps, grids = torch.randn(2, 6, 9, 7), tuple(torch.randn(2, 3, b, b) for b in (1, 2, 3))
    parts = PyramidParts(maps, grids, Spread.onto(maps, Place.whole(maps), "aligned"))
    convolution = nn.Conv2d(15, 5, 3, padding=1)
    residual = torch.randn(2, 5, 9, 7) if add else None
    fast = fused_of(convolution, relu=True)
    with torch.inference_mode():
        wanted = convolution(parts.put_together())
        wanted = (wanted if residual is None else wanted + residual).relu()
        deferred = DeferredMap(parts)
        assert_near(fast(deferred, residual), wanted)
        assert deferred._map is None
        for parameter in (fast.weight, fast.bias):
            parameter.mul_(-0.5)
        convolution.weight, convolution.bias = fast.weight, fast.bias
        wanted = convolution(parts.put_together())
        wanted = (wanted if residual is None else wanted + residual).relu()
        assert_near(fast(DeferredMap(parts), residual), wanted)
    assert [name for name, _ in fast.named_parameters()] == ["weight", "bias"]
    maps.requires_grad_()  # after inference mode
    parts = PyramidParts(maps, grids, Spread.onto(maps, Place.whole(maps), "aligned"))
    fast.requires_grad_()
    found = torch.autograd.grad(fast(DeferredMap(parts)).sum(), [maps, fast.weight, fast.bias])
    plain = convolution(parts.put_together()).relu().sum()
    wanted = torch.autograd.grad(plain, [maps, *convolution.parameters()])
    for one, other in zip(found, wanted, strict=True):
        assert_near(one, other)
    fast.requires_grad_(False)
    (alone,) = torch.autograd.grad(fast(DeferredMap(parts)).sum(), maps)
    assert_near(alone, found[0])


def test_is_compiled_and_exported_in_the_plain_form():
    convolution = nn.Conv2d(3, 4, 3, padding=1)
    fast, maps = fused_of(convolution, relu=True), torch.randn(1, 3, 8, 8)
    exported = torch.export.export(fast, (maps,)).module()
    assert_near(exported(maps).detach(), convolution(maps).relu().detach())


def test_names_what_is_fused():
    assert "relu=True" in repr(fused_of(nn.Conv2d(3, 4, 3), relu=True))


@pytest.mark.parametrize("geometry", [(512, 21, 1, {}), (16, 8, 3, {"padding": 1})])
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (6, 5)])
def test_the_first_map_of_a_size_gives_the_same_bits_as_later_ones(geometry, size):
    channels, out_channels, side, options = geometry
    fast = fused_of(nn.Conv2d(channels, out_channels, side, **options))
    maps = torch.randn(1, channels, *size)
    with torch.inference_mode():
        first, *later = [fast(maps) for _ in range(3)]
    assert all(torch.equal(first, found) for found in later)
