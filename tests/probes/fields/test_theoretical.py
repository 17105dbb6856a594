"""Theoretical fields of places, against the released networks' and by hand."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lookwider.errors import ConfigError, LookwiderError
from lookwider.models import create_model
from lookwider.probes.fields import Box, theoretical_field
from lookwider.probes.network import Network

STAGES = {"conv2_3": "layer1", "conv3_4": "layer2", "conv4_6": "layer3", "conv4_23": "layer3"}
"""Layers of the released PSPNets by the names of ours."""

RELEASED = {
    "voc-fcn32s (VGG16)": ("fcn32s", {"backbone": "vgg16", "style": "released"}),
    "voc-fcn-alexnet": ("fcn32s", {"backbone": "alexnet", "style": "released"}),
    "parsenet (VGG16 LargeFOV)": ("parsenet", {"backbone": "vgg16_largefov"}),
    "pspnet50": ("pspnet", {"backbone": "resnet50_psp", "stride_on": "1x1"}),
    "pspnet101": ("pspnet", {"backbone": "resnet101_psp"}),
}


def network(*layers: nn.Module) -> Network:
    return Network(nn.Sequential(*layers), name="mine")


@pytest.mark.parametrize("name", RELEASED)
def test_every_field_of_the_release(name, facts):
    model, options = RELEASED[name]
    with torch.device("meta"):
        probed = Network(create_model(model, **options), name=name)
    for released, expected in facts("receptive_fields")[name].items():
        layer = released
        if model == "pspnet":
            layer = STAGES.get(released, "layer4" if released == "conv5_3" else "maxpool")
        field = theoretical_field(probed, layer, (250, 250), (473, 473))
        assert field.extent == (expected["rf"], expected["rf"]), released
        assert field.stride == (expected["stride"], expected["stride"]), released


def test_every_released_network_is_covered(facts):
    assert set(facts("receptive_fields")) == set(RELEASED)


def test_size_centre_box_and_mask_of_a_place():
    probed = network(
        nn.Conv2d(3, 2, 5, stride=2, padding=2), nn.Conv2d(2, 2, (3, 1), padding=(1, 0))
    )
    field = theoretical_field(probed, "1", (20, 31), (40, 60))
    assert field.cell == (10, 15)  # 15 and 16 are as near
    assert field.extent == (9, 5)
    assert field.centre == (20, 30)
    assert field.box == Box(top=16, left=28, bottom=25, right=33)
    assert field.area == 9 * 5 == field.mask().sum()
    assert field.mask()[16:25, 28:33].all()
    assert field.share_of_image == 45 / 2400
    assert field.side == pytest.approx(math.sqrt(45))
    assert json.loads(json.dumps(field.to_json()))["size"] == [9, 5]


def test_the_image_cuts_the_box_off_and_the_law_goes_on():
    probed = network(nn.Conv2d(3, 2, 7, padding=3))
    field = theoretical_field(probed, "scores", (0, 9), (10, 10))
    assert field.box == Box(0, 6, 4, 10)
    assert field.extent == (7, 7)
    assert field.centre == (0, 9)


def test_branches_with_other_centres_are_joined_exactly():
    class Branches(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            left = nn.functional.avg_pool2d(x, 3, 1)[..., :, :-4]
            return left + x[..., 1:-1, 6:]  # a pixel 5 to the right of the window's middle

    field = theoretical_field(Network(Branches()), "scores", (10, 10), (30, 30))
    assert field.cell == (9, 9)
    assert field.box == Box(9, 9, 12, 16)
    assert field.extent == (3, 7)
    assert field.centre == (10, 12)
    assert field.cols.grid.offset == 1  # where cells lie, from which crops follow, stays


def test_global_and_regional_operations():
    whole = theoretical_field(network(nn.AdaptiveAvgPool2d(1)), "scores", (3, 4), (20, 30))
    assert whole.extent == (math.inf, math.inf)
    assert whole.box == Box(0, 0, 20, 30)
    assert whole.centre == (9.5, 14.5)
    assert whole.to_json()["size"] == [None, None]
    region = theoretical_field(network(nn.AdaptiveAvgPool2d(3)), "scores", (0, 29), (20, 30))
    assert region.cell == (0, 2)
    assert region.box == Box(0, 20, 7, 30)


def test_a_place_that_sees_padding_only():
    probed = network(nn.Conv2d(3, 1, 1, padding=4))
    field = theoretical_field(probed, "0", (0, 0), (5, 5))
    assert field.box == Box(0, 0, 1, 1)
    padded = network(nn.ConstantPad2d((0, 0, 9, 0), 0.0), nn.AvgPool2d(4))
    nothing = theoretical_field(padded, "scores", (0, 0), (8, 8))
    assert nothing.cell[0] == 2
    assert (
        theoretical_field(network(nn.ZeroPad2d(2), nn.MaxPool2d(2, 9)), "1", (0, 0), (5, 5)).area
        == 0
    )


def test_the_class_scores_of_the_three_systems():
    sizes = {}
    for name in ("fcn8s", "parsenet", "pspnet"):
        with torch.device("meta"):
            model = create_model(name, backbone="resnet18")
        sizes[name] = theoretical_field(Network(model), "scores", (100, 100), (320, 320))
    assert sizes["fcn8s"].extent[0] < math.inf
    assert sizes["parsenet"].extent[0] == sizes["pspnet"].extent[0] == math.inf
    assert sizes["parsenet"].mask().all()
    assert sizes["pspnet"].mask().all()


@pytest.mark.parametrize("at", [(-1, 0), (0, 32), (32, 0)])
def test_a_place_outside_the_image(at):
    with pytest.raises(ConfigError, match=rf"row {at[0]}, column {at[1]} lies outside.*0\.\.31"):
        theoretical_field(network(nn.Conv2d(3, 2, 3)), "scores", at, (32, 32))


def test_a_layer_that_does_not_exist():
    probed = Network(nn.ModuleDict({"conv1": nn.Conv2d(3, 2, 3)})["conv1"], name="mine")
    with pytest.raises(ConfigError, match="unknown layer 'score' of mine; the closest are scores"):
        theoretical_field(probed, "score", (0, 0), (32, 32))


def test_an_image_too_small_for_the_network():
    with pytest.raises(LookwiderError, match=r"mine cannot take an image of 4x4 pixels.*too small"):
        theoretical_field(network(nn.Conv2d(3, 2, 5)), "scores", (0, 0), (4, 4))


def test_masks_are_boolean_maps():
    field = theoretical_field(network(nn.Conv2d(3, 2, 3)), "scores", (4, 4), (9, 11))
    assert field.mask().shape == (9, 11)
    assert field.mask().dtype == np.bool_
