"""Effective fields by gradient against autograd, and the means of fields."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from torch import nn

from lookwider.errors import ConfigError
from lookwider.probes.fields import MeasuredField, average_fields, gradient_field
from lookwider.probes.fields.report import FieldReport, layers_table
from lookwider.probes.network import Network


def image(seed: int = 0, size: tuple[int, int] = (20, 24)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)


def network() -> Network:
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 6, 3, padding=1), nn.Tanh(), nn.Conv2d(6, 4, 5, padding=2)]
    return Network(nn.Sequential(*layers))


def measured(seed: int = 0, at: tuple[int, int] = (9, 11), layer: str = "scores") -> MeasuredField:
    return gradient_field(network(), image(seed), at, layer)


def test_against_autograd_and_the_definition():
    probed, field = network(), measured()
    pixels = probed.image(image()).requires_grad_()
    outputs = probed.module(pixels)[0, :, 9, 11]
    total = sum(torch.autograd.grad(unit, pixels, retain_graph=True)[0] for unit in outputs)
    expected = total[0].abs().sum(0)
    torch.testing.assert_close(torch.from_numpy(field.values), expected)
    assert field.threshold == pytest.approx(1 - 0.9545)
    assert (field.region == (field.values > 0.0455 * field.values.max())).all()
    assert not field.values[~field.theoretical.mask()].any()


def test_a_linear_network_has_its_weights_for_a_gradient():
    layer = nn.Conv2d(3, 1, 5, padding=2)
    field = gradient_field(Network(nn.Sequential(layer)), image(), (9, 11), threshold=0)
    weights = layer.weight[0].detach().abs().sum(0).numpy()
    np.testing.assert_allclose(field.values[7:12, 9:14], weights, rtol=1e-6)
    assert field.area == 25
    assert field.share_of_theoretical == 1


def test_units_are_chosen():
    alone = gradient_field(network(), image(), (9, 11), units=[2])
    assert not np.array_equal(alone.values, measured().values)
    strongest = gradient_field(network(), image(), (9, 11), units=1)
    assert strongest.settings["units"] in ([0], [1], [2], [3])
    with pytest.raises(ConfigError, match="got unit 4, expected some of"):
        gradient_field(network(), image(), (9, 11), units=[4])
    with pytest.raises(ConfigError, match="got threshold=2"):
        gradient_field(network(), image(), (9, 11), threshold=2)


def test_gradients_of_the_weights_and_the_mode_are_left_alone():
    probed = network()
    probed.module.train()
    gradient_field(probed, image(), (9, 11))
    assert probed.module.training
    assert all(weight.grad is None for weight in probed.module.parameters())


def test_the_mean_of_one_field_is_the_field():
    field = measured()
    mean = average_fields([field])
    np.testing.assert_allclose(mean.values, field.values / field.values.max(), rtol=1e-6)
    assert mean.at == field.at
    assert mean.area.mean == field.area
    assert math.isnan(mean.area.deviation)
    assert (mean.region == field.region).all()


def test_means_are_aligned_on_the_place():
    first = measured(at=(9, 11))
    second = gradient_field(network(), image(1, (16, 30)), (4, 20))
    mean = average_fields([first, second])
    assert mean.at == (9, 20)
    assert mean.values.shape == (9 + 12, 20 + 13)
    assert mean.values[9, 20] == pytest.approx(
        (first.shares[9, 11] + second.shares[4, 20]) / 2, rel=1e-5
    )
    assert mean.area.mean == (first.area + second.area) / 2
    assert mean.side.deviation == pytest.approx(np.std([first.side, second.side], ddof=1))
    assert mean.share_of_image.mean == pytest.approx(
        (first.share_of_image + second.share_of_image) / 2
    )


def test_a_pixel_outside_of_some_images_is_averaged_over_the_others():
    layer = nn.Conv2d(3, 1, 7, padding=3)
    nn.init.ones_(layer.weight)
    probed = Network(nn.Sequential(layer))
    fields = [gradient_field(probed, image(), at, threshold=0) for at in ((10, 12), (0, 0))]
    mean = average_fields(fields)
    assert mean.region.sum() == 49
    assert mean.values.max() == pytest.approx(1)
    assert sorted(one.area for one in fields) == [16, 49]


def test_fields_that_cannot_be_averaged():
    with pytest.raises(ConfigError, match="got no field to average"):
        average_fields([])
    with pytest.raises(ConfigError, match=r"cannot average gradient of 0 .* gradient of scores"):
        average_fields([measured(), measured(layer="0")])


def test_files_of_a_mean(tmp_path):
    paths = average_fields([measured(0), measured(1)]).save(tmp_path)
    assert [path.suffix for path in paths] == [".npz", ".json", ".png"]
    figures = json.loads(paths[1].read_text())
    assert len(figures["fields"]) == 2
    assert figures["mean_and_deviation"]["area"][0] > 0


def test_a_report_of_nothing_is_refused_and_the_layers_are_listed():
    with pytest.raises(ConfigError, match="got no field to report"):
        FieldReport("mine", (), (), {})
    table = layers_table(network(), (20, 24))
    assert table.row_count == 4
