"""Places that see more than can be traced, and networks that say nothing."""

import numpy as np
import pytest
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import deform_conv2d

from lookwider.errors import LookwiderError
from lookwider.probes.fields import (
    average_fields,
    empirical_field,
    gradient_field,
    theoretical_field,
)
from lookwider.probes.network import Network

IMAGE = np.random.default_rng(0).integers(0, 256, (16, 20, 3), np.uint8)
QUICK = {"window": 4, "stride": 4, "draws": 1}


class Calls(nn.Module):
    """Calls a function on the image."""

    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def forward(self, images: Tensor) -> Tensor:
        return self.function(images)


def deformed(images: Tensor) -> Tensor:
    offset = torch.full((1, 2, *images.shape[-2:]), 6.0).to(images)
    return deform_conv2d(images, offset, torch.ones(2, 3, 1, 1).to(images))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: torch.fft.fft2(x).real,
        lambda x: torch.fft.rfft(x).real.sum(1, keepdim=True) + x[..., :11],
        lambda x: functional.rms_norm(x, x.shape[1:]),
        lambda x: torch.linalg.matmul(x, torch.ones(20, 20).to(x)),
        lambda x: torch.inner(x, torch.ones(20, 20).to(x)),
        lambda x: torch.tensordot(x, torch.ones(20, 20).to(x), 1),
        lambda x: x.cummax(-1).values,
        lambda x: torch.rot90(x, 2, (-2, -1)),
        lambda x: functional.batch_norm(x, None, None, training=True),
        deformed,
    ],
)
def test_functions_that_mix_places_see_all_along_the_axes_they_mix(function):
    box = theoretical_field(Network(Calls(function)), "scores", (3, 4), (16, 20)).box
    assert box.width == 20


def test_a_field_that_was_traced_too_small_is_widened():
    def hidden(images: Tensor) -> Tensor:
        values = images.flip(-1) if images.device.type != "meta" else images
        return values * 1.0

    network = Network(Calls(hidden))
    assert theoretical_field(network, "scores", (3, 4), (16, 20)).area == 1
    field = empirical_field(network, IMAGE, (3, 4), **QUICK)
    assert field.settings["traced"] is False
    assert field.theoretical.box == (0, 0, 16, 20)
    assert field.region[3, 15]
    assert not field.region[3, 4]
    plain = empirical_field(Network(nn.Conv2d(3, 2, 3, padding=1)), IMAGE, (3, 4), **QUICK)
    assert plain.settings["traced"] is True


@pytest.mark.parametrize("sizes", [((1, 1), (16, 20)), ((16, 20), (1, 1))])
def test_one_cell_stretched_by_its_corners(sizes):
    first, second = sizes
    network = nn.Sequential(
        nn.AdaptiveAvgPool2d(first), nn.Upsample(second, mode="bilinear", align_corners=True)
    )
    field = theoretical_field(Network(network), "1", (3, 4), (16, 20))
    assert field.stride == (1, 1)
    if first == (1, 1):
        assert field.box == (0, 0, 16, 20)
    else:
        assert field.box == (0, 0, 1, 1)


def test_values_that_are_no_numbers_name_layer_and_network():
    network = Network(nn.Conv2d(3, 2, 1), name="mine")
    nn.init.constant_(network.module.bias, float("nan"))
    for measure in (empirical_field, gradient_field):
        with pytest.raises(LookwiderError, match=r"layer scores of mine: units .* NaN or infinite"):
            measure(network, IMAGE, (3, 4))


def test_a_network_without_gradient():
    network = Network(Calls(torch.no_grad()(nn.Conv2d(3, 2, 1).forward)), name="mine")
    with pytest.raises(LookwiderError, match="layer scores of mine passes no gradient"):
        gradient_field(network, IMAGE, (3, 4))


def test_modules_that_ask_for_values_are_traced_with_values():
    constant = torch.ones(1)
    conv = nn.Conv2d(3, 2, 3, padding=1)

    def asks(images: Tensor) -> Tensor:
        return (images if images.max() > 0 else images * 2) + constant

    network = Network(nn.Sequential(conv, Calls(asks)))
    assert theoretical_field(network, "1", (3, 4), (16, 20)).area == 9

    def fails(images: Tensor) -> Tensor:
        raise KeyError("lake")

    with pytest.raises(LookwiderError, match=r"16x20 pixels: 'lake'; the network itself fails"):
        Network(Calls(fails)).fields((16, 20))


def test_units_have_regions_of_their_own():
    network = Network(nn.Conv2d(3, 4, 5, padding=2))
    field = empirical_field(network, IMAGE, (8, 8), window=2, stride=1, units=[1, 3])
    assert field.unit_areas == (field.of_unit(1).area, field.of_unit(3).area)
    mean = average_fields([field])
    assert mean.unit_area.mean == np.mean(field.unit_areas)
    assert mean.to_json()["mean_and_deviation"]["unit_area"][0] == mean.unit_area.mean
    without = average_fields([empirical_field(network, IMAGE, (8, 8), **QUICK)])
    assert np.isnan(without.unit_area.mean)


@pytest.mark.parametrize("name", ["convnext_atto", "resnet18", "mobilenetv3_small_050"])
def test_trunks_are_still_followed(name):
    trunk = timm.create_model(name, features_only=True, pretrained=False)
    sizes = {key: layer.rows.size for key, layer in Network(trunk).fields((64, 64)).items()}
    assert min(sizes.values()) < 12
    assert np.isfinite(next(iter(sizes.values())))


def test_noise_is_put_on_as_it_is_needed():
    network = Network(nn.Conv2d(3, 2, 5, padding=2))
    many = empirical_field(network, IMAGE, (8, 8), window=4, stride=2, draws=7, batch_size=2)
    few = empirical_field(network, IMAGE, (8, 8), window=4, stride=2, draws=7, batch_size=5)
    np.testing.assert_allclose(many.values, few.values, rtol=1e-5)
