"""Traced receptive fields against the released networks' and against brute force."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from lookwider.backbones import create_backbone
from lookwider.layers.receptive_fields import trace_fields


def brute_force(network: nn.Module, size: int) -> tuple[int, float, float]:
    """Return (field, stride, offset) from which pixels have a gradient to two middle cells."""
    image = torch.rand(1, 1, size, size, dtype=torch.float64, requires_grad=True)
    output = network(image)
    middle = output.shape[-1] // 2
    spans = []
    for cell in (middle, middle + 1):
        (gradient,) = torch.autograd.grad(output[0, 0, middle, cell], image, retain_graph=True)
        touched = gradient[0, 0].abs().sum(0).nonzero()[:, 0]
        spans.append((int(touched.min()), int(touched.max())))
    centres = [(low + high) / 2 for low, high in spans]
    stride = centres[1] - centres[0]
    return spans[0][1] - spans[0][0] + 1, stride, centres[0] - stride * middle


window = st.tuples(
    st.integers(1, 4), st.integers(1, 3), st.integers(0, 2), st.integers(1, 2), st.booleans()
)


@settings(max_examples=40, deadline=None)
@given(plan=st.lists(window, min_size=1, max_size=3))
def test_random_chains_against_brute_force(plan):
    layers: list[nn.Module] = []
    for kernel, stride, padding, dilation, average in plan:
        if average:
            padding = min(padding, kernel // 2)
            layers.append(nn.AvgPool2d(kernel, stride, padding))
        else:
            layers.append(nn.Conv2d(1, 1, kernel, stride, padding, dilation, bias=False))
            nn.init.constant_(layers[-1].weight, 1.0)
    network = nn.Sequential(*layers).double()
    field = trace_fields(network, in_channels=1, size=(160, 160))[""].cols
    assert (field.size, field.stride, field.offset) == brute_force(network, 160)


def test_transposed_convolution_and_interpolation():
    torch.manual_seed(0)

    class UpDown(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.down = nn.Conv2d(1, 1, 4, 4)
            self.up = nn.ConvTranspose2d(1, 1, 4, 2, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.up(self.down(x))

    layer = trace_fields(UpDown(), 1)[""]
    assert (layer.rows.stride, layer.rows.offset) == (2, 0.5)  # pixels of 2 side by side

    class Resized(nn.Module):
        def __init__(self, **how: object) -> None:
            super().__init__()
            self.how = how

        def forward(self, x: Tensor) -> Tensor:
            return functional.interpolate(functional.avg_pool2d(x, 8), mode="bilinear", **self.how)

    half = trace_fields(Resized(scale_factor=2), 1)[""].rows
    assert (half.stride, half.offset) == (4, 1.5)
    size = (127, 127)
    aligned = trace_fields(Resized(size=size, align_corners=True), 1)[""].rows
    assert (aligned.stride, aligned.offset) == (4, 3.5)


def test_crops_and_padding_move_the_first_cell():
    class Moved(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return functional.pad(functional.avg_pool2d(x, 2), (3, 0, 1, 0))[:, :, 2:, 5:]

    layer = trace_fields(Moved(), 3)[""]
    assert layer.rows.offset == 0.5 + 2 * (2 - 1)
    assert layer.cols.offset == 0.5 + 2 * (5 - 3)


def test_a_global_average_sees_everything():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1))
    assert math.isinf(trace_fields(network)["1"].rows.size)


def test_fields_of_the_release(facts):
    released = facts("receptive_fields")
    everything = {
        "voc-fcn32s (VGG16)": (
            "vgg16",
            ["pool1", "pool2", "pool3", "pool4", "pool5", "fc6", "fc7"],
        ),
        "voc-fcn-alexnet": ("alexnet", ["pool1", "pool2", "conv5", "pool5", "fc6", "fc7"]),
    }
    for net, (backbone, layers) in everything.items():
        with torch.device("meta"):
            trunk = create_backbone(backbone, layers=layers, style="released")
        traced = trace_fields(trunk)
        for layer in layers:
            expected = released[net][layer]
            assert traced[layer].rows.size == expected["rf"], (net, layer)
            assert traced[layer].rows.stride == expected["stride"], (net, layer)


def test_googlenet_has_the_papers_field():
    """FCN's table 1 says 907: with the 7x7 average pooling that its text discards."""
    traced = trace_fields(create_backbone("googlenet", layers=["inception5b"]))["inception5b"].rows
    assert (traced.window(7, 1, 0, 1).size, traced.stride) == (907, 32)


@pytest.mark.parametrize("name", ["resnet18", "mobilenetv3_small_100"])
def test_any_timm_model(name):
    trunk = create_backbone(name)
    assert [grid.stride for grid in trunk.grids] == [2, 4, 8, 16, 32]
    assert {grid.offset for grid in trunk.grids} == {0}


def test_a_module_is_left_in_the_mode_it_was_in():
    network = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)).train()
    network[1].eval()
    trace_fields(network)
    assert network.training
    assert not network[1].training
