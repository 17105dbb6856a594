"""Contexts whose maps are never put together, against those that are."""

from __future__ import annotations

import copy
from contextlib import nullcontext

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.autograd import forward_ad

import lookwider
from lookwider.context import GlobalContext, PyramidContext
from lookwider.kernels.switches import enabled, without
from lookwider.layers.deferred import DeferredMap, deferring
from lookwider.layers.norms import ConvNormReLU
from lookwider.layers.receptive_fields import trace_fields

CLASSES = ["wall", "tree", "sky"]


def pyramid(**options):
    """A pyramid and its convolution, as one module."""
    torch.manual_seed(0)
    context = PyramidContext((32,), **options)
    return Chain(context, ConvNormReLU(context.channels[-1], 16, 3, "batch"))


def glance(**options):
    torch.manual_seed(0)
    context = GlobalContext((32,), (0,), (0,), dropout=0.0, **options)
    return Chain(context, nn.Conv2d(32, 5, 1))


class Chain(nn.Module):
    def __init__(self, context, head):
        super().__init__()
        self.context, self.head = context, head

    def forward(self, maps):
        with nullcontext() if torch.compiler.is_compiling() else deferring():
            fused = self.context.fuse((maps,), self.context.summarise((maps,)))
        return sum(self.head(part) for part in fused)


def features(*size, dtype=torch.float32, layout=torch.channels_last):
    """Values like those of a trunk: smooth, rectified, every channel with its own size."""
    torch.manual_seed(1)
    coarse = torch.randn(3, 32, 4, 4, dtype=dtype) + torch.linspace(-1, 1, 32)[:, None, None]
    maps = nn.functional.interpolate(coarse, size, mode="bilinear").relu()
    return maps.contiguous(memory_format=layout).requires_grad_()


def values_and_gradients(chain, maps):
    """Return the values, then the gradients of a loss with respect to map and parameters."""
    chain, maps = copy.deepcopy(chain), maps.detach().requires_grad_()
    values = chain(maps)
    return [
        values,
        *torch.autograd.grad((values - 0.3).square().sum(), [maps, *chain.parameters()]),
    ]


@pytest.mark.parametrize("make", [pyramid, glance])
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("training", [True, False])
def test_values_and_gradients_are_the_same(make, layout, training):
    chain, maps = make().train(training), features(24, 20, layout=layout)
    exact = values_and_gradients(chain.double(), maps.double())
    fast = values_and_gradients(chain.float(), maps)
    with without("heads", "regions"):
        plain_exact = values_and_gradients(chain.double(), maps.double())
        plain = values_and_gradients(chain.float(), maps)
    assert all(relative(a, b) < 1e-12 for a, b in zip(exact, plain_exact, strict=True))
    assert relative(fast[0], plain[0]) < (2e-6 if training else 1e-6)
    # the statistics of a batch cancel most of these gradients, and rounding is what is left
    most = 4e-5 if training else 1e-5
    assert max(relative(a, b) for a, b in zip(fast[1:], plain[1:], strict=True)) < most


def relative(got, expected):
    difference, most = (got - expected).detach().abs().max(), expected.detach().abs().max()
    return float(difference / most)


@given(
    st.tuples(st.integers(1, 16), st.integers(1, 16)),
    st.sampled_from(["average", "max"]),
    st.sampled_from(["aligned", "half_pixel"]),
    st.booleans(),
    st.lists(st.integers(1, 6), max_size=3),
)
@settings(max_examples=40, deadline=None)
def test_every_pyramid_is_the_same_on_every_map(size, pooling, alignment, reduce, bins):
    chain = pyramid(bins=bins, pooling=pooling, alignment=alignment, reduce=reduce)
    chain.double().eval()
    maps = features(*size, dtype=torch.float64)
    with torch.no_grad():
        fast = chain(maps)
        with without("heads", "regions"):
            plain = chain(maps)
    torch.testing.assert_close(fast, plain, rtol=1e-11, atol=1e-11)


def test_the_concatenation_is_deferred_unless_it_is_smaller_than_the_grids():
    context = PyramidContext((32,)).eval()
    for side, deferred in ((6, True), (3, False)):
        maps = features(side, side)
        summary = context.summarise((maps,))
        with deferring():
            (fused,) = context.fuse((maps,), summary)
        assert isinstance(fused, DeferredMap) == (deferred and enabled("heads"))
        assert type(context.fuse((maps,), summary)[0]) is torch.Tensor
        with without("heads"):
            (plain,) = context.fuse((maps,), context.summarise((maps,)))
        assert type(plain) is torch.Tensor
        torch.testing.assert_close(fused + 0, plain)


@pytest.mark.parametrize("make", [pyramid, glance])
def test_under_autocast_the_error_is_the_plain_forms(make):
    chain, maps = make().eval(), features(24, 20).detach()
    with torch.no_grad():
        exact = chain(maps)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            fast = chain(maps)
            with without("heads", "regions"):
                plain = chain(maps)
    assert fast.dtype == plain.dtype == torch.bfloat16
    error, plain_error = (float((form - exact).square().mean()) for form in (fast, plain))
    assert error < 1.25 * plain_error


def test_a_hook_on_the_normalisation_sees_and_replaces_its_maps():
    chain, maps = glance().eval(), features(8, 8)
    norm = chain.context.local_norms[0]
    lengths = []
    with norm.register_forward_hook(lambda _m, _i, out: lengths.append(out.norm(dim=1))):
        chain(maps)
    torch.testing.assert_close(lengths[0].max(), torch.tensor(10.0))
    with norm.register_forward_hook(lambda _m, _i, out: out * 0):
        changed = chain(maps)
    _, average = chain.context.fuse((maps,), chain.context.summarise((maps,)))
    expected = (chain.head(average) + chain.head.bias[:, None, None]).expand(-1, -1, 8, 8)
    torch.testing.assert_close(changed, expected)


def test_receptive_fields_are_those_of_the_plain_form():
    trunk = nn.Conv2d(3, 32, 3, stride=2, padding=1)
    for chain in (pyramid(), glance()):
        network = nn.Sequential(trunk, chain)
        fields = trace_fields(network, size=(64, 64))
        with without("heads", "regions"):
            plain = trace_fields(network, size=(64, 64))
        assert fields.keys() == plain.keys()
        for name, layer in fields.items():
            assert (layer.shape, layer.rows) == (plain[name].shape, plain[name].rows)


TRANSFORMS = {
    "grad": lambda total, maps: torch.func.grad(total)(maps),
    "vmap": lambda total, maps: torch.func.vmap(lambda one: total(one[None]))(maps),
    "jvp": lambda total, maps: torch.func.jvp(total, (maps,), (maps.sin(),))[1],
    "hessian": lambda total, maps: torch.func.jvp(torch.func.grad(total), (maps,), (maps.sin(),))[
        1
    ],
    "forward": lambda total, maps: forward_derivative(total, maps),
}


def forward_derivative(total, maps):
    with forward_ad.dual_level():
        return forward_ad.unpack_dual(total(forward_ad.make_dual(maps, maps.sin()))).tangent


@pytest.mark.parametrize("make", [pyramid, glance])
@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("recorded", [True, False])
@pytest.mark.filterwarnings("ignore:`torch.jit.*is deprecated")  # which PyTorch itself uses
def test_transformed_functions_are_those_of_the_plain_form(make, transform, recorded):
    chain, maps = make().double().eval(), features(5, 8, dtype=torch.float64).detach()
    chain.requires_grad_(recorded)

    def total(maps):
        return (chain(maps) ** 3).sum()

    with torch.set_grad_enabled(recorded or transform in ("grad", "hessian")):
        fast = TRANSFORMS[transform](total, maps)
        with without("heads", "regions", "training"):
            plain = TRANSFORMS[transform](total, maps)
    assert plain.any()
    torch.testing.assert_close(fast, plain, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("make", [pyramid, glance])
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_a_batch_of_no_images(make, layout):
    chain, maps = make().eval(), features(8, 9)[:0].contiguous(memory_format=layout)
    for recorded in (True, False):
        with torch.set_grad_enabled(recorded):
            found = chain(maps)
            with without("heads", "regions"):
                assert found.shape == chain(maps).shape


@pytest.mark.parametrize("make", [pyramid, glance])
@pytest.mark.filterwarnings("ignore:`torch.jit.*is deprecated")
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")  # sizes are constants
def test_a_traced_network_is_the_plain_one(make):
    chain = make().eval()
    with torch.no_grad():
        traced = torch.jit.trace(chain, features(9, 8), check_trace=False)
        other = features(9, 8) * 2
        torch.testing.assert_close(traced(other), chain(other), rtol=1e-5, atol=1e-5)
    assert not any("baddbmm" in node.kind() for node in traced.inlined_graph.nodes())


@pytest.mark.parametrize("make", [pyramid, glance])
def test_compiled_and_exported_they_are_the_same(make):
    chain, maps = make().eval(), features(9, 8).detach()
    expected = chain(maps)
    compiled = torch.compile(chain, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(maps), expected, rtol=1e-5, atol=1e-5)
    exported = torch.export.export(chain, (maps,)).module()
    torch.testing.assert_close(exported(maps), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("pspnet", {"backbone": "resnet18"}),
        ("pspnet", {"backbone": "resnet18", "pooling": "max", "alignment": "half_pixel"}),
        ("parsenet", {"backbone": "resnet18"}),
        ("parsenet", {"backbone": "resnet18", "fusion": "early", "across_spatial": True}),
        ("parsenet", {"backbone": "resnet18", "layers": ["layer2", "layer4"]}),
    ],
)
def test_models_give_the_same_scores_at_every_size(name, options):
    torch.manual_seed(0)
    model = lookwider.create_model(name, classes=CLASSES, **options).eval().double()

    @given(st.tuples(st.integers(1, 90), st.integers(1, 90)))
    @settings(max_examples=8, deadline=None)
    def at_every_size(size):
        images = torch.randn(1, 3, *size, dtype=torch.float64)
        with torch.no_grad():
            fast = model.scores(images)["main"].scores
            with without("heads", "regions"):
                plain = model.scores(images)["main"].scores
        torch.testing.assert_close(fast, plain, rtol=1e-10, atol=1e-10)

    at_every_size()
