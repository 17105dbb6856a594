"""A deferred map is a tensor to everyone, and an unmade one to convolutions."""

from __future__ import annotations

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn
from torch.nn import functional

from lookwider.layers.deferred import DeferredMap, Window, deferring, may_defer


class Twice:
    """Twice a map; counts how often it was put together and convolved."""

    def __init__(self, maps):
        self.maps, self.made, self.windows = maps, 0, []

    def like(self):
        return self.maps, tuple(self.maps.shape)

    def put_together(self):
        self.made += 1
        return 2 * self.maps

    def convolved(self, weight, bias, window):
        self.windows.append(window)
        if window.kernel == (2, 2):
            return None
        return functional.conv2d(
            self.maps, 2 * weight, bias, window.stride, window.padding, window.dilation
        )


def deferred(**options):
    torch.manual_seed(0)
    return DeferredMap(Twice(torch.randn(2, 4, 6, 5, **options)))


def test_shape_dtype_and_device_are_known_of_an_unmade_map():
    maps = deferred(dtype=torch.float64)
    assert isinstance(maps, torch.Tensor)
    assert (maps.shape, maps.size(1), maps.dim(), maps.ndim) == ((2, 4, 6, 5), 4, 4, 4)
    assert (maps.dtype, maps.device.type) == (torch.float64, "cpu")
    assert maps.parts.made == 0


@pytest.mark.parametrize(
    "convolution",
    [
        nn.Conv2d(4, 3, 3, padding=1),
        nn.Conv2d(4, 3, 1, bias=False),
        nn.Conv2d(4, 3, (3, 1), stride=(2, 1), padding=(2, 0), dilation=(2, 1)),
    ],
)
def test_convolutions_are_computed_from_the_parts(convolution):
    maps = deferred()
    got = convolution(maps)
    assert type(got) is torch.Tensor
    assert maps.parts.made == 0
    torch.testing.assert_close(got, convolution(2 * maps.parts.maps))
    (window,) = maps.parts.windows
    assert window == Window(
        convolution.kernel_size, convolution.stride, convolution.padding, convolution.dilation
    )


def test_a_map_given_by_its_name_is_put_together():
    maps, weight = deferred(), torch.randn(3, 4, 3, 3)
    expected = torch.conv2d(2 * maps.parts.maps, weight)
    for convolve in (torch.conv2d, functional.conv2d):
        torch.testing.assert_close(convolve(input=maps, weight=weight), expected)
        torch.testing.assert_close(convolve(weight=weight, input=maps), expected)
    assert (maps.parts.made, maps.parts.windows) == (1, [])
    torch.testing.assert_close(torch.conv2d(deferred(), weight=weight), expected)


def test_convolutions_of_single_numbers_are_understood():
    maps = deferred()
    weight = torch.randn(3, 4, 3, 3)
    got = torch.conv2d(maps, weight, None, 2, 1)
    torch.testing.assert_close(got, torch.conv2d(2 * maps.parts.maps, weight, None, 2, 1))
    assert maps.parts.windows == [Window((3, 3), (2, 2), (1, 1))]


@pytest.mark.parametrize(
    "convolution",
    [
        nn.Conv2d(4, 4, 3, groups=2),
        nn.Conv2d(4, 3, 3, padding="same"),
        nn.Conv2d(4, 3, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(4, 3, 2),  # which the parts cannot
    ],
)
def test_other_convolutions_are_of_the_map(convolution):
    maps = deferred()
    torch.testing.assert_close(convolution(maps), convolution(2 * maps.parts.maps))
    assert maps.parts.made == 1


def test_a_wrong_number_of_channels_is_refused_as_by_any_map():
    with pytest.raises(RuntimeError, match="to have 3 channels, but got 4 channels instead"):
        nn.Conv2d(3, 3, 1)(deferred())


@pytest.mark.parametrize(
    "function",
    [
        lambda maps: maps + 1,
        lambda maps: 1 + maps,
        lambda maps: maps[:, 1:],
        lambda maps: torch.cat([maps, maps]),
        lambda maps: maps.relu(),
        lambda maps: nn.Dropout(0.0)(maps),
        lambda maps: nn.BatchNorm2d(4)(maps),
        lambda maps: maps.double(),
        lambda maps: copy.deepcopy(maps),
        lambda maps: pickle.loads(pickle.dumps(maps)),
        lambda maps: torch.from_numpy(maps.numpy()),
        lambda maps: torch.ops.aten.relu(maps),
        lambda maps: torch.stack(list(maps)),
    ],
)
def test_anything_else_is_computed_from_the_map(function):
    maps = deferred()
    got = function(maps)
    assert type(got) is torch.Tensor
    torch.testing.assert_close(got, function(2 * maps.parts.maps))
    assert maps.parts.made == 1


def test_a_made_map_is_an_ordinary_one_whose_gradient_can_be_asked_for():
    maps = deferred(requires_grad=True)
    maps.retain_grad()
    nn.Conv2d(4, 3, 1)(maps).sum().backward()
    assert (maps.parts.made, maps.parts.windows) == (1, [])
    torch.testing.assert_close(maps.parts.maps.grad, 2 * maps.grad)


def test_gradients_are_recorded_as_they_were_where_the_map_was_deferred():
    maps = deferred(requires_grad=True)
    with torch.no_grad():
        maps.sum()
    assert maps.whole.requires_grad
    with torch.no_grad():
        without = deferred(requires_grad=True)
    assert not without.whole.requires_grad


def test_transformed_functions_defer_too():
    convolution = nn.Conv2d(4, 3, 1)

    def total(maps):
        return convolution(DeferredMap(Twice(maps))).sum()

    maps = torch.randn(2, 4, 3, 3)
    got = torch.func.grad(total)(maps)
    expected = torch.func.grad(lambda maps: convolution(2 * maps).sum())(maps)
    torch.testing.assert_close(got, expected)


def test_nothing_is_deferred_for_whoever_did_not_ask():
    maps = torch.zeros(1, 1, 2, 2)
    assert not may_defer(maps)
    with deferring():
        assert may_defer(maps)
        assert not threads_answer(lambda: may_defer(maps))
    assert not may_defer(maps)


def threads_answer(question):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(question).result()


@pytest.mark.filterwarnings("ignore:`torch.jit.*is deprecated")
@deferring()
def test_what_follows_a_computation_gets_the_plain_form():
    maps = torch.zeros(1, 1, 2, 2)
    assert may_defer(maps)
    torch.func.vmap(lambda one: not_deferred(one[None]))(maps)
    torch.func.grad(lambda maps: not_deferred(maps).sum())(maps)
    torch.func.vmap(lambda _: not_deferred(maps), in_dims=0)(torch.zeros(2))
    torch.func.jvp(not_deferred, (maps,), (maps,))
    with torch.autograd.forward_ad.dual_level():
        not_deferred(maps)
    torch.jit.trace(not_deferred, maps, check_trace=False)
    assert may_defer(maps)
    assert not may_defer(maps.to("meta"))
    with torch.overrides.BaseTorchFunctionMode():
        assert not may_defer(maps)
    assert torch.compile(lambda maps: maps + may_defer(maps), backend="eager")(maps).sum() == 0


def not_deferred(maps):
    assert not may_defer(maps)
    return maps + 1
