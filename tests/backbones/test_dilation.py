"""Dilation by structure: equal to the undilated trunk where it must be, and as published."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from lookwider.backbones import create_backbone
from lookwider.backbones.dilation import dilate
from lookwider.errors import ConfigError


@pytest.mark.parametrize(
    "name", ["resnet18", "resnet50", "mobilenetv2_050", "regnetx_002", "repvgg_a0", "resnet50_psp"]
)
@pytest.mark.parametrize("output_stride", [8, 16])
def test_every_nth_cell_is_that_of_the_undilated_trunk(name, output_stride):
    torch.manual_seed(0)
    plain = create_backbone(name).eval()
    dilated = create_backbone(name, output_stride=output_stride, dilation="torchvision").eval()
    dilated.load_state_dict(plain.state_dict())
    images = torch.randn(1, 3, 65, 97)
    with torch.no_grad():
        maps = zip(plain.grids, dilated.grids, plain(images), dilated(images), strict=True)
    for coarse_grid, grid, coarse, fine in maps:
        assert grid.stride == min(coarse_grid.stride, output_stride)
        step = int(coarse_grid.stride // grid.stride)
        torch.testing.assert_close(fine[..., ::step, ::step], coarse, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("rule", "first"),
    [("published", {"layer3": 2, "layer4": 4}), ("torchvision", {"layer3": 1, "layer4": 2})],
)
def test_dilation_of_the_first_blocks(rule, first):
    trunk = create_backbone("resnet50_psp", output_stride=8, dilation=rule)
    for stage, rest in (("layer3", 2), ("layer4", 4)):
        blocks = list(trunk.network[stage])
        assert [block.conv2.dilation[0] for block in blocks] == [
            first[stage],
            *[rest] * (len(blocks) - 1),
        ]
        assert all(block.conv2.padding == block.conv2.dilation for block in blocks)


def test_strides_on_the_1x1_are_those_that_are_left():
    trunk = create_backbone("resnet50_psp", output_stride=8, stride_on="1x1")
    first = trunk.network["layer2"][0]
    assert (first.conv1.stride, first.conv2.stride) == ((2, 2), (1, 1))
    later = trunk.network["layer3"][0]
    assert (later.conv1.stride, later.conv2.dilation) == ((1, 1), (2, 2))


def test_maximum_poolings_stop_striding_too():
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2, padding=1),
        nn.MaxPool2d(3, 2, padding=1),
        nn.Conv2d(4, 4, 3, padding=1),
        nn.Conv2d(4, 4, 3, stride=2, padding=1),
    )
    images = torch.randn(1, 3, 32, 32)
    before = network(images)
    dilate(network, 2, "torchvision")
    torch.testing.assert_close(network(images)[..., ::4, ::4], before)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet50d", "average pooling, which cannot be dilated"),
        ("swin_tiny_patch4_window7_224", "swin_tiny_patch4_window7_224 cannot be dilated"),
        ("resnetblur50", "strides by something else than"),
        ("convnext_atto", "windows of even size or without padding would lose cells"),
        ("vgg16_bn", "windows of even size or without padding would lose cells"),
        ("vovnet39a", "vovnet39a cannot be dilated"),
        ("vgg16", "has a stride of 32 and stays as published"),
    ],
)
def test_trunks_that_cannot_be_dilated_say_why(name, message):
    with pytest.raises(ConfigError, match=message):
        create_backbone(name, output_stride=8)


def test_a_coarse_enough_trunk_is_left_alone():
    assert create_backbone("resnet18", output_stride=32).grids[-1].stride == 32


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"output_stride": 0}, "got output_stride=0, expected 8, 16 or 32"),
        ({"stride_on": "2x2"}, "unknown stride_on '2x2'"),
        ({"dilation": "none"}, "unknown dilation 'none'"),
    ],
)
def test_choices_are_checked_where_they_are_taken(options, message):
    with pytest.raises(ConfigError, match=message):
        create_backbone("resnet18", **options)
